// The timeline's marks: which lane, which row of the lane, from when to when. Pure.
import type { EventView, SpanView } from '../../model/view'

export const laneNames = ['task', 'tools', 'llm', 'messages', 'errors'] as const
export type Lane = (typeof laneNames)[number]

export type Mark = { lane: Lane; row: number; from: number; to: number; open: boolean; status: string; label: string; type: string; span: SpanView | null; event: EventView | null }
export type Lanes = { marks: Mark[]; rows: Record<Lane, number> }

const rowsMax = 4
const laneOf: Partial<Record<SpanView['type'], Lane>> = { task: 'task', run: 'task', tool: 'tools', ask: 'messages', llm: 'llm', span: 'task' }

/** Overlapping marks of a lane go into rows below each other, at most rowsMax. */
function place(marks: Mark[]): number {
  const ends: number[] = []
  for (const m of marks) {
    let row = ends.findIndex((end) => end <= m.from)
    if (row < 0) row = ends.length < rowsMax ? ends.length : ends.indexOf(Math.min(...ends))
    ends[row] = Math.max(ends[row] ?? 0, m.to)
    m.row = row
  }
  return Math.max(1, ends.length)
}

export function lanes(spans: readonly SpanView[], events: readonly EventView[], now: number): Lanes {
  const by: Record<Lane, Mark[]> = { task: [], tools: [], llm: [], messages: [], errors: [] }
  for (const s of spans) {
    const lane = laneOf[s.type] ?? 'task'
    const to = s.open ? Math.max(now, s.start) : s.end || s.start
    by[lane].push({ lane, row: 0, from: s.start, to, open: s.open, status: s.status, label: s.name || s.msg || s.type, type: s.type, span: s, event: null })
    if (s.status === 'error' || s.status === 'timeout') {
      by.errors.push({ lane: 'errors', row: 0, from: to, to, open: false, status: s.status, label: `${s.name} ${s.error?.msg ?? ''}`, type: 'error', span: s, event: null })
    }
  }
  for (const e of events) {
    const bad = e.severity === 'error' || e.severity === 'fatal'
    if (e.type === 'message') by.messages.push({ lane: 'messages', row: 0, from: e.at, to: e.at, open: false, status: '', label: e.summary, type: 'message', span: null, event: e })
    else if (bad && !e.span) by.errors.push({ lane: 'errors', row: 0, from: e.at, to: e.at, open: false, status: 'error', label: e.summary, type: 'error', span: null, event: e })
  }
  const rows = {} as Record<Lane, number>
  for (const lane of laneNames) {
    by[lane].sort((a, b) => a.from - b.from)
    rows[lane] = lane === 'errors' ? 1 : place(by[lane])
  }
  return { marks: laneNames.flatMap((l) => by[l]), rows }
}

/** First and last instant of the spans, with a little room. */
export function extent(spans: readonly SpanView[], now: number): { from: number; to: number } | null {
  let from = Infinity
  let to = 0
  for (const s of spans) {
    from = Math.min(from, s.start)
    to = Math.max(to, s.open ? now : s.end || s.start)
  }
  if (!(to > 0) || from === Infinity) return null
  const room = Math.max(500, (to - from) * 0.02)
  return { from: from - room, to: to + room }
}
