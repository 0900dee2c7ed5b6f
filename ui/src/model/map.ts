// The one place where API shapes become view types. Everything that comes in may be
// missing, of another type or hostile; nothing that goes out is.
import type { AgentShape, AttentionShape, EventShape, FleetShape, RangeShape, SeriesShape, SpanShape, Usage } from '../api/shape'
import { blobsIn, describe } from './blob'
import { line } from './format'
import type { Quality } from './format'
import { shows, spanTypes } from './view'
import type {
  AgentKey, AgentView, AttentionView, Counts, EventView, FleetView, RangeView, RunView, SeriesView, Show, SpanDetail, SpanType, SpanView, UsageView,
} from './view'

const str = (x: unknown): string => (typeof x === 'string' ? x : '')
const num = (x: unknown): number => (typeof x === 'number' && Number.isFinite(x) ? x : 0)
const list = <T>(x: readonly T[] | null | undefined): readonly T[] => (Array.isArray(x) ? x : [])
const offsets = (x: unknown): number[] => list(x as unknown[]).filter((n): n is number => typeof n === 'number')

/** Any value as one line of text: strings as they are, the rest as JSON. */
export function textOf(x: unknown): string {
  if (x === undefined || x === null) return ''
  return typeof x === 'string' ? x : JSON.stringify(x)
}

/** The length in front keeps (a, bc) and (ab, c) apart. */
export function agentKey(space: string, id: string): AgentKey {
  return `${space.length}:${space}/${id}` as AgentKey
}

function pairs(x: unknown): [string, string][] {
  return x && typeof x === 'object' ? Object.entries(x).map(([k, v]) => [k, textOf(v)]) : []
}

const showSet: ReadonlySet<string> = new Set(shows)
const show = (x: unknown): Show => (typeof x === 'string' && showSet.has(x) ? (x as Show) : 'unknown')

function quality(x: unknown): Quality {
  return x === 'lower_bound' || x === 'estimated' ? x : 'exact'
}

export function usage(u: Usage | null | undefined): UsageView {
  const input = num(u?.input_tokens)
  const output = num(u?.output_tokens)
  const cacheRead = num(u?.cache_read_tokens)
  const cacheWrite = num(u?.cache_write_tokens)
  return {
    input, output, cacheRead, cacheWrite,
    reasoning: num(u?.reasoning_tokens), // part of output
    tokens: input + output + cacheRead + cacheWrite,
    cost: num(u?.cost_nanousd),
    quality: quality(u?.quality),
    model: str(u?.model),
  }
}

function counts(c: Record<string, number> | null | undefined): Counts {
  return {
    events: num(c?.events), runs: num(c?.runs), tasks: num(c?.tasks), llm: num(c?.llm), tools: num(c?.tools), asks: num(c?.asks),
    messages: num(c?.messages), errors: num(c?.errors), failed_calls: num(c?.failed_calls), denied: num(c?.denied), cancelled: num(c?.cancelled), shed: num(c?.shed),
  }
}

export function agent(a: AgentShape): AgentView {
  const space = str(a.space)
  const id = str(a.id)
  const name = str(a.name)
  const v = a.verdict
  return {
    key: agentKey(space, id),
    space, id,
    title: name || id,
    named: name !== '' && name !== id,
    role: str(a.role), host: str(a.host), version: str(a.version), model: str(a.model), manager: str(a.manager), kind: str(a.kind),
    show: show(a.show),
    state: str(a.state) || 'unknown',
    on: str(a.on), by: str(a.state_by), since: num(a.state_since_ms), msg: str(a.state_msg),
    verdict: v ? { kind: str(v.kind), rule: str(v.rule), reason: str(v.reason), since: num(v.since_ms), evidence: offsets(v.evidence) } : null,
    task: a.task ? { span: str(a.task.span), name: str(a.task.name), since: num(a.task.since_ms), from: str(a.task.from) } : null,
    run: a.run ? { id: str(a.run.id), name: str(a.run.name) } : null,
    session: str(a.session),
    ask: a.ask ? { span: str(a.ask.span), name: str(a.ask.name), msg: str(a.ask.msg), kind: str(a.ask.kind), since: num(a.ask.since_ms) } : null,
    first: num(a.first_ms), last: num(a.last_ms),
    ended: a.ended === true, endedAt: num(a.ended_ms), heartbeat: num(a.heartbeat_ms),
    links: num(a.links), workers: num(a.workers),
    labels: pairs(a.labels),
    counts: counts(a.counts),
    usage: usage(a.usage),
    burn: num(a.rate?.cost_nanousd_h),
    spark: list(a.rate?.events_15m).map(num),
    open: { tools: num(a.open?.tools), llm: num(a.open?.llm), tasks: num(a.open?.tasks) },
  }
}

export function fleet(f: FleetShape): FleetView {
  const by = Object.fromEntries(shows.map((s) => [s, num(f.by_show?.[s])])) as Record<Show, number>
  return {
    live: num(f.agents_live), ended: num(f.agents_ended), by,
    eventsPerS: num(f.events_per_s), tokensPerH: num(f.tokens_per_h), burn: num(f.cost_nanousd_h),
    failedShare: num(f.failed_call_share), attention: num(f.attention),
  }
}

export function attention(x: AttentionShape): AttentionView {
  const a = agent(x.agent ?? {})
  const kind = str(x.kind)
  return {
    id: `${kind} ${a.key} ${str(x.span)}`,
    kind, agent: a,
    since: num(x.since_ms), title: str(x.title), detail: str(x.detail), span: str(x.span), run: str(x.run),
    evidence: offsets(x.evidence), burn: num(x.burn_nanousd_h),
  }
}

const spanTypeSet: ReadonlySet<string> = new Set(spanTypes)

export function span(s: SpanShape): SpanView {
  const open = s.open === true
  const end = num(s.end_ms)
  // A span without a start has only its end; it is shown there.
  const start = num(s.start_ms) || end
  const space = str(s.space)
  const id = str(s.span)
  return {
    key: agentKey(space, id),
    space, span: id, parent: str(s.parent),
    type: (spanTypeSet.has(str(s.type)) ? s.type : 'span') as SpanType,
    name: str(s.name), agent: str(s.agent), to: textOf(s.to), run: str(s.run), task: str(s.task), session: str(s.session),
    status: str(s.status) || (open ? 'open' : 'unknown'),
    open, start, end,
    dur: typeof s.dur_ms === 'number' ? s.dur_ms : end > start ? end - start : 0,
    estimated: s.ts_from === 'estimated',
    usage: s.usage ? usage(s.usage) : null,
    error: s.error ? { code: textOf(s.error.code), msg: textOf(s.error.msg) } : null,
    attempt: num(s.attempt), kind: str(s.kind), msg: str(s.msg),
    noStart: s.no_start === true, ends: num(s.ends),
    startOffset: num(s.start_offset), endOffset: num(s.end_offset), children: num(s.children),
  }
}

export function spanDetail(s: SpanShape): SpanDetail {
  return { ...span(s), input: s.input, output: s.output, attrs: s.attrs, links: s.links }
}

export function run(s: SpanShape): RunView {
  return { ...span(s), agents: num(s.agents), spans: num(s.spans), tools: num(s.tools), errors: num(s.errors) }
}

/** What an event says, in one line. */
function summary(e: EventShape): string {
  const parts: string[] = []
  for (const x of [e.name, e.msg]) if (str(x)) parts.push(str(x))
  if (e.type === 'state' || (e.state !== undefined && parts.length === 0)) {
    const s = e.state as { state?: unknown; on?: unknown } | string | undefined
    parts.unshift(typeof s === 'string' ? s : [str(s?.state), str(s?.on)].filter(Boolean).join(' on '))
  }
  for (const set of [e.metrics, e.counters, e.deltas]) {
    if (set && typeof set === 'object') parts.push(Object.entries(set).slice(0, 6).map(([k, v]) => `${k} ${textOf(v)}`).join(' · '))
  }
  const error = e.error as { msg?: unknown; code?: unknown } | undefined
  if (error && typeof error === 'object') parts.push(textOf(error.msg ?? error.code))
  if (parts.length === 0) {
    const rest = e.output ?? e.input ?? e.reason ?? e.attrs
    const apart = blobsIn(rest)
    if (apart.length > 0) parts.push(apart.map(describe).join(' · '))
    else if (rest !== undefined) parts.push(textOf(rest).slice(0, 400))
  }
  return line(parts.filter(Boolean).join(' · '), 400)
}

export function event(e: EventShape): EventView {
  const recv = num(e.recv_ms)
  return {
    offset: num(e.offset), recv, at: num(e.ts) || recv,
    space: str(e.space), agent: str(e.agent),
    type: str(e.type) || 'unknown', phase: str(e.phase), severity: str(e.severity) || 'info', kind: str(e.kind),
    summary: summary(e), status: str(e.status), span: str(e.span), run: str(e.run),
    raw: e,
  }
}

const labelName = (metric: string, labels: [string, string][]) =>
  labels.length ? `${metric}{${labels.map(([k, v]) => `${k}=${v}`).join(', ')}}` : metric

export function series(s: SeriesShape): SeriesView {
  const labels = pairs(s.labels).toSorted((a, b) => (a[0] < b[0] ? -1 : 1))
  const metric = str(s.metric)
  const name = labelName(metric, labels)
  return { key: name, metric, labels, name, unit: str(s.unit), last: num(s.last), lastAt: num(s.last_ms) }
}

export function range(r: RangeShape): { series: RangeView[]; step: number } {
  const numbers = (xs: (number | null)[] | undefined, n: number) =>
    Array.from({ length: n }, (_, i) => { const x = xs?.[i]; return typeof x === 'number' && Number.isFinite(x) ? x : null })
  return {
    step: num(r.step_ms),
    series: list(r.series).map((s) => {
      const t = list(s.t).map(num)
      const labels = pairs(s.labels)
      return { name: labelName(str(s.metric), labels), labels, t, avg: numbers(s.avg, t.length), min: numbers(s.min, t.length), max: numbers(s.max, t.length) }
    }),
  }
}
