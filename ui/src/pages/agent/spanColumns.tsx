import { bounded, cost, count, duration, exact, none } from '../../model/format'
import type { SpanView } from '../../model/view'
import { Status } from '../../parts/State'
import type { Column } from '../../parts/Table'
import { Id, Line, Moment } from '../../parts/Text'

export const spanColumns: Column<SpanView>[] = [
  { id: 'start', title: 'Began', width: 148, num: true, sort: true, cell: (s) => <Moment at={s.start} />, text: (s) => exact(s.start), value: (s) => s.start },
  { id: 'type', title: 'Type', width: 56, cell: (s) => <span className="dim">{s.type}</span>, text: (s) => s.type },
  {
    id: 'name', title: 'Name', width: 0,
    cell: (s) => <span className="pair"><Line text={s.name || s.type} max={80} />{s.error?.msg || s.msg ? <span className="dim cut"><Line text={s.error?.msg || s.msg} max={160} className="" /></span> : null}</span>,
    text: (s) => s.name,
  },
  { id: 'status', title: 'Status', width: 104, sort: true, cell: (s) => <Status status={s.status} />, text: (s) => s.status },
  { id: 'dur', title: 'Took', width: 92, num: true, sort: true, cell: (s) => (s.open ? <span className="dim">open</span> : duration(s.dur)), text: (s) => String(s.dur), value: (s) => (s.open ? null : s.dur) },
  { id: 'tokens', title: 'Tokens', width: 84, num: true, sort: true, from: 640, cell: (s) => (s.usage ? bounded(count(s.usage.tokens), s.usage.quality) : <span className="faint">{none}</span>), text: (s) => String(s.usage?.tokens ?? ''), value: (s) => s.usage?.tokens ?? null },
  { id: 'cost', title: 'Cost', width: 96, num: true, from: 720, cell: (s) => (s.usage ? cost(s.usage.cost, s.usage.quality, s.usage.tokens) : <span className="faint">{none}</span>), text: (s) => (s.usage ? cost(s.usage.cost, s.usage.quality, s.usage.tokens) : ''), value: (s) => (s.usage ? s.usage.cost / 1e9 : null) },
  { id: 'attempt', title: 'Attempt', width: 64, num: true, off: true, cell: (s) => s.attempt || none, text: (s) => String(s.attempt) },
  { id: 'span', title: 'Span', width: 128, off: true, cell: (s) => <Id id={s.span} />, text: (s) => s.span },
  { id: 'run', title: 'Run', width: 128, off: true, cell: (s) => <Id id={s.run} />, text: (s) => s.run },
]

const orders: Record<string, (a: SpanView, b: SpanView) => number> = {
  start: (a, b) => a.start - b.start,
  status: (a, b) => (a.status < b.status ? -1 : a.status > b.status ? 1 : 0),
  dur: (a, b) => a.dur - b.dur,
  tokens: (a, b) => (a.usage?.tokens ?? 0) - (b.usage?.tokens ?? 0),
}

export function sortSpans(spans: readonly SpanView[], by: string, desc: boolean): SpanView[] {
  const order = orders[by] ?? orders.start
  const sign = desc ? -1 : 1
  return spans.toSorted((a, b) => sign * (order?.(a, b) ?? 0) || b.start - a.start)
}
