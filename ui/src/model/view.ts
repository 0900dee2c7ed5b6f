// What the pages show. Made from API shapes by map.ts and from nowhere else.
import type { Quality } from './format'

export const shows = ['failed', 'stuck', 'waiting', 'silent', 'unknown', 'running', 'idle', 'ended'] as const
export type Show = (typeof shows)[number]

/** Names one agent over all spaces; made by agentKey, never by hand. */
export type AgentKey = string & { readonly brand: 'AgentKey' }

export type Verdict = { kind: string; rule: string; reason: string; since: number; evidence: number[] }
export type Ask = { span: string; name: string; msg: string; kind: string; since: number }
export type TaskRef = { span: string; name: string; since: number; from: string }

export type UsageView = {
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
  reasoning: number
  tokens: number
  cost: number
  quality: Quality
  model: string
}

export type Counts = Record<'events' | 'runs' | 'tasks' | 'llm' | 'tools' | 'asks' | 'messages' | 'errors' | 'failed_calls' | 'denied' | 'cancelled' | 'shed', number>

export type AgentView = {
  key: AgentKey
  space: string
  id: string
  title: string
  named: boolean
  role: string
  host: string
  version: string
  model: string
  manager: string
  kind: string
  show: Show
  state: string
  on: string
  by: string
  since: number
  msg: string
  verdict: Verdict | null
  task: TaskRef | null
  run: { id: string; name: string } | null
  session: string
  ask: Ask | null
  first: number
  last: number
  ended: boolean
  endedAt: number
  heartbeat: number
  links: number
  workers: number
  labels: [string, string][]
  counts: Counts
  usage: UsageView
  burn: number
  spark: number[]
  open: { tools: number; llm: number; tasks: number }
}

export type FleetView = {
  live: number
  ended: number
  by: Record<Show, number>
  eventsPerS: number
  tokensPerH: number
  burn: number
  failedShare: number
  attention: number
}

export type AttentionView = {
  id: string
  kind: string
  agent: AgentView
  since: number
  title: string
  detail: string
  span: string
  run: string
  evidence: number[]
  burn: number
}

export const spanTypes = ['run', 'task', 'llm', 'tool', 'ask', 'span'] as const
export type SpanType = (typeof spanTypes)[number]

export type SpanView = {
  key: string
  space: string
  span: string
  parent: string
  type: SpanType
  name: string
  agent: string
  to: string
  run: string
  task: string
  session: string
  status: string
  open: boolean
  start: number
  end: number
  dur: number
  estimated: boolean
  usage: UsageView | null
  error: { code: string; msg: string } | null
  attempt: number
  kind: string
  msg: string
  noStart: boolean
  ends: number
  startOffset: number
  endOffset: number
  children: number
}

export type SpanDetail = SpanView & { input: unknown; output: unknown; attrs: unknown; links: unknown }

export type RunView = SpanView & { agents: number; spans: number; tools: number; errors: number }

export type EventView = {
  offset: number
  at: number
  recv: number
  space: string
  agent: string
  type: string
  phase: string
  severity: string
  kind: string
  summary: string
  status: string
  span: string
  run: string
  raw: Readonly<Record<string, unknown>>
}

export type SeriesView = { key: string; metric: string; labels: [string, string][]; name: string; unit: string; last: number; lastAt: number }

export type RangeView = { name: string; labels: [string, string][]; t: number[]; avg: (number | null)[]; min: (number | null)[]; max: (number | null)[] }
