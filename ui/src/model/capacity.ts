// What /v1/capacity says, as the page shows it. Pure functions.
import type { CapacityShape, NeedShape } from '../api/shape'
import { bytes, count, duration, line, none } from './format'

const nb = '\u00a0'

const number = (x: unknown): number => (typeof x === 'number' && Number.isFinite(x) ? x : 0)

const titles: Record<string, string> = {
  cpu: 'CPU', memory: 'Memory', descriptors: 'Descriptors', disk: 'Disk', disk_writes: 'Disk writes', disk_operations: 'Disk operations', network_in: 'Network in', network_out: 'Network out',
}

/** A resource's or limit's name at the beginning of a line. */
export const title = (name: string): string => titles[name] ?? line(name.charAt(0).toUpperCase() + name.slice(1), 40)

/** The same within a sentence. */
export const inside = (name: string): string => (name === 'cpu' ? 'CPU' : (titles[name]?.toLowerCase() ?? line(name, 40)))

/** 0.11 cores, 2.31 GB, 2.13 k, 160 IOPS, 3.17 Mbit/s. */
export function amount(name: string, v: number): string {
  switch (name) {
    case 'cpu': return cores(v)
    case 'memory': case 'disk': return bytes(Math.round(v))
    case 'disk_writes': return bytes(Math.round(v)) + '/s'
    case 'disk_operations': return count(Math.round(v)) + nb + 'IOPS'
    case 'network_in': case 'network_out': return small(v * 8 / 1e6) + nb + 'Mbit/s'
    default: return count(Math.round(v))
  }
}

export const cores = (v: number): string => small(v) + nb + (v === 1 ? 'core' : 'cores')

/** A number with about two figures, if small: < 0.0001, 0.0034, 0.11, 3.17, 12.4 k. */
export function small(v: number): string {
  if (!Number.isFinite(v)) return none
  if (v > 0 && v < 0.0001) return '<' + nb + '0.0001'
  return Math.abs(v) >= 1 || v === 0 ? count(v) : String(Number(v.toPrecision(2)))
}

/** How many times: 0.32×, 1.5×, 12×, 7.56 k×. */
export const times = (v: number): string => small(v >= 10 ? Math.round(v) : v) + '×'

export type Level = 'calm' | 'near' | 'beyond'

/** How full something is, of what a plan gives away of it. */
export const level = (used: number): Level => (used > 1 ? 'beyond' : used > 0.8 ? 'near' : 'calm')

export type NeedView = {
  name: string
  value: number
  has: number
  usable: number
  used: number
  parts: { name: string; value: number }[]
  missing: string[]
  says: string
  known: boolean
  atLeast: boolean
}

function need(s: NeedShape): NeedView {
  const parts = (s.parts ?? []).map((p) => ({ name: line(p.name ?? '', 40), value: number(p.value) }))
  const missing = (s.missing ?? []).map((m) => line(m, 40))
  const [value, usable] = [number(s.value), number(s.usable)]
  return {
    name: s.name ?? '', value, has: number(s.has), usable, used: usable > 0 && parts.length > 0 ? value / usable : 0,
    parts, missing, says: line(s.says ?? '', 200), known: parts.length > 0, atLeast: parts.length > 0 && missing.length > 0,
  }
}

/** What runs now against what the host has; mark is where a plan ends, as a part of it, 0 if it is not known. */
export type Gauge = { name: string; value: number; has: number; mark: number; note: string }

export type CostView = { name: string; title: string; value: string; by: 'live' | 'bench' | 'recorded' | 'none'; says: string }

export type LoadView = { days: number; agents: number; rate: number; metrics: number; frame: number; viewers: number; connections: number }

export type CapacityView = {
  host: string
  live: { events: number; samples: number; agents: number; connections: number; viewers: number; lag: number; cpu: number } | null
  gauges: Gauge[]
  busiest: { events: number; at: number } | null
  of: 'now' | 'busiest'
  today: LoadView
  times: number
  needs: NeedView[]
  limits: { name: string; times: number; says: string; loose: boolean }[]
  max: number
  first: string
  load: LoadView
  diskPerDay: number
  diskDays: number
  price: { month: number; hosts: number; connection: number; million: number; full: number } | null
  costs: CostView[]
  costsSay: string
  confidence: string
  unanswered: string[]
  says: string[]
}

type CostRow = [name: string, title: string, show: (v: number) => string]

const us = (v: number) => small(v) + nb + 'µs'
const size = (v: number) => (v < 1000 ? small(v) + nb + 'B' : bytes(Math.round(v)))

const costRows: CostRow[] = [
  ['cpu_event_us', 'CPU of an event', us],
  ['cpu_frame_us', 'CPU of a frame', us],
  ['cpu_sample_us', 'CPU of a metric sample', us],
  ['cpu_delivery_us', 'CPU of an event sent to a viewer', us],
  ['cpu_idle_cores', 'CPU at rest', cores],
  ['cores_usable_fraction', 'cores that load can use', (v) => `${Math.round(v * 100)}${nb}%`],
  ['memory_base_bytes', 'memory whatever the load', size],
  ['memory_conn_bytes', 'memory of a connection', size],
  ['memory_conn_other_bytes', 'kernel memory of a connection', size],
  ['memory_agent_bytes', 'memory of an agent', size],
  ['memory_series_bytes', 'memory of a series', size],
  ['disk_log_event_bytes', 'disk of an event in the log', size],
  ['disk_views_event_bytes', 'disk of an event in the views', size],
  ['disk_sample_bytes', 'disk of a metric sample', size],
  ['device_event_bytes', 'written for an event', size],
  ['device_write_bytes', 'size of one write', size],
  ['sync_latency_ms', 'a sync of the disk', (v) => small(v) + nb + 'ms'],
  ['wire_event_bytes', 'network of an event', size],
  ['wire_delivery_bytes', 'network of an event sent to a viewer', size],
]

const sources = ['live', 'bench', 'recorded'] as const

function costViews(c: NonNullable<CapacityShape['costs']>): CostView[] {
  return costRows.map(([name, heading, show]) => {
    const v = number(c[name])
    const s = c.sources?.[name]
    const by = sources.find((x) => x === (s?.by ?? c.by)) ?? 'recorded'
    return { name, title: heading, value: v > 0 ? show(v) : none, by: v > 0 ? by : 'none', says: v > 0 ? line(s?.says ?? c.says ?? '', 300) : 'nobody measured it: a plan says that it cannot answer this part' }
  })
}

function load(s: CapacityShape['today']): LoadView {
  return { days: number(s?.days), agents: number(s?.agents), connections: number(s?.connections), rate: number(s?.events_per_s), metrics: number(s?.samples_per_s), frame: number(s?.events_per_frame), viewers: number(s?.viewers) }
}

function gauges(s: CapacityShape, needs: NeedView[]): Gauge[] {
  const h = s.host ?? {}
  const out: Gauge[] = []
  const add = (name: string, value: number | undefined, has: number | undefined, note: string) => {
    if (value === undefined || !(number(has) > 0)) return
    const n = needs.find((x) => x.name === name)
    // Of a disk, what others use is used, too.
    const others = name === 'disk' ? number(h.disk_bytes) - number(h.disk_free_bytes) - number(h.disk_used_bytes) : 0
    out.push({ name, value: number(value), has: number(has), mark: n && n.usable > 0 && n.has === number(has) ? Math.min(1, (n.usable + others) / n.has) : 0, note })
  }
  add('cpu', s.live?.cpu_cores, h.cores, '')
  add('memory', s.live?.memory_bytes, h.memory_bytes, '')
  add('descriptors', s.descriptors_open, h.descriptors, '')
  add('disk', number(h.disk_bytes) - number(h.disk_free_bytes), h.disk_bytes, `${bytes(number(h.disk_used_bytes))} of it eyrie’s`)
  return out
}

export function capacity(s: CapacityShape): CapacityView {
  const a = s.answer ?? {}
  const h = s.host ?? {}
  const needs = (a.needs ?? []).map(need)
  const m = s.measured ?? {}
  const c = s.costs ?? {}
  const p = a.price
  const at = Date.parse(s.busiest?.at ?? '')
  return {
    host: [h.cores ? cores(h.cores) : '', line(h.cpu ?? '', 60), h.memory_bytes ? bytes(h.memory_bytes) + ' memory' : ''].filter(Boolean).join(' · '),
    live: s.live ? {
      events: number(s.live.events_per_s), samples: number(s.live.samples_per_s), agents: number(s.live.agents),
      connections: number(s.live.connections), viewers: number(s.live.viewers), lag: number(s.live.view_lag), cpu: number(s.live.cpu_cores),
    } : null,
    gauges: gauges(s, needs),
    busiest: s.busiest ? { events: number(s.busiest.events_per_s), at: Number.isFinite(at) ? at : 0 } : null,
    of: s.of === 'busiest' ? 'busiest' : 'now',
    today: load(s.today), load: load(a.load), times: number(s.times) || 1,
    needs,
    limits: (a.limits ?? []).map((l) => ({ name: l.name ?? '', times: number(l.times), says: line(l.says ?? '', 200), loose: l.loose === true })),
    max: number(a.max_times), first: a.first_limit ?? '',
    diskPerDay: number(a.disk_bytes_per_day), diskDays: number(a.disk_days),
    price: p ? { month: number(p.month), hosts: number(p.hosts), connection: number(p.per_connection), million: number(p.per_million_events), full: number(p.per_connection_full) } : null,
    costs: costViews(c),
    costsSay: `${c.by === 'live' ? 'measured here' : c.by === 'bench' ? 'measured by eyrie bench' : 'recorded'} ${line(String(c.at ?? '').slice(0, 10), 10)} on ${number(c.machine?.cores)} cores of ${line(c.machine?.cpu ?? 'an unknown CPU', 60)}. ${line(c.says ?? '', 400)}`,
    confidence: confidence(m),
    // What a need lacks stands beside it already.
    unanswered: (a.unanswered ?? []).map((x) => line(x, 300)).filter((x) => !needs.some((n) => n.missing.length > 0 && x.startsWith(inside(n.name) + ':'))), says: (a.says ?? []).map((x) => line(x, 300)),
  }
}

/** How far the server's own measurement carries, in a sentence. */
function confidence(m: NonNullable<CapacityShape['measured']>): string {
  const on = number(m.minutes) > 0 ? ` ${count(Math.round(number(m.events)))} events in ${Math.round(number(m.minutes))} min under load, ±${Math.round(100 * number(m.spread))}${nb}%.` : ''
  if (m.in_force) return `Measured here, confidence ${m.confidence === 'good' ? 'good' : 'fair'}:${on}`
  const says = line(m.says ?? '', 200)
  return `Not measured here: ${says}.${on}`
}

/** 36.5 s, 4 h 29 m, 8 d 20 h, 45 days, over a hundred years. */
const days = (n: number): string => (n > 36_500 ? 'over a hundred years' : n >= 10 ? `${count(Math.round(n))} days` : duration(n * 86_400_000))

export type Verdict = { level: Level | 'unknown'; text: string; disk: string; agents: string }

/** What the page says first. How long the disk lasts is another matter than what can run at once. */
export function verdict(v: CapacityView, entered: boolean): Verdict {
  const what = entered ? 'the load entered below' : v.of === 'busiest' ? 'the busiest minute of the day' : 'the load of now'
  const first = v.limits.find((l) => l.name !== 'disk')
  const holds = v.limits.find((l) => l.name === 'disk')
  const disk = v.diskDays > 0
    ? `The disk holds ${days(v.diskDays)}${v.times === 1 ? '' : ` at ${times(v.times)}`}${holds && holds.times < 1 ? `, not ${small(v.load.days)} days` : ''}.`
    : ''
  if (!entered && v.live && v.live.agents === 0 && v.live.events < 1) return { level: 'unknown', text: 'There is no load to speak of.', disk, agents: 'Connect an agent, or enter a load below, to see what this machine bears.' }
  if (!first) return { level: 'unknown', text: 'What this machine bears is not known yet.', disk, agents: v.load.agents > 0 ? '' : 'There is no load to multiply: connect an agent, or enter one below.' }
  const worst = Math.min(first.times, holds?.times ?? Infinity)
  return {
    level: worst < 1 ? 'beyond' : worst < 1.25 ? 'near' : 'calm',
    text: `This machine bears ${first.loose ? 'at most ' : ''}${times(first.times * v.times)} ${what}. What ends it: ${inside(first.name)}.`,
    disk,
    agents: `That is ${count(Math.floor(v.load.agents * first.times))} agents.${v.times === 1 ? '' : ` ${times(v.times)} ${first.times >= 1 ? 'runs' : 'does not run'}.`}`,
  }
}

/** A number that a person typed: 65000, 65,000, 65k, 1.5M; NaN if it is none, undefined if there is nothing. */
export function typed(text: string): number | undefined {
  const t = text.trim().replaceAll(/[\s,]/g, '')
  if (t === '') return undefined
  const m = /^(\d+(?:\.\d*)?|\.\d+)([kKM]?)$/.exec(t)
  if (!m) return Number.NaN
  return Number(m[1]) * (m[2] === 'M' ? 1e6 : m[2] ? 1e3 : 1)
}
