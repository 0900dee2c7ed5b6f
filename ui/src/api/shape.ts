// What the server sends. Nothing here is trusted: model/map.ts turns it into view types.

export type Usage = {
  input_tokens?: number
  output_tokens?: number
  cache_read_tokens?: number
  cache_write_tokens?: number
  reasoning_tokens?: number
  cost_nanousd?: number
  quality?: string
  model?: string
}

export type VerdictShape = { kind?: string; rule?: string; reason?: string; since_ms?: number; evidence?: number[] }

export type AgentShape = {
  space?: string
  id?: string
  name?: string
  role?: string
  host?: string
  version?: string
  model?: string
  manager?: string
  kind?: string
  state?: string
  on?: string
  state_by?: string
  state_since_ms?: number
  state_msg?: string
  verdict?: VerdictShape | null
  show?: string
  task?: { span?: string; name?: string; since_ms?: number; from?: string } | null
  run?: { id?: string; name?: string } | null
  session?: string
  ask?: { span?: string; name?: string; msg?: string; kind?: string; since_ms?: number } | null
  first_ms?: number
  last_ms?: number
  ended?: boolean
  ended_ms?: number
  heartbeat_ms?: number
  links?: number
  workers?: number
  labels?: Record<string, unknown> | null
  counts?: Record<string, number> | null
  usage?: Usage | null
  rate?: { events_15m?: number[]; cost_nanousd_h?: number } | null
  open?: { tools?: number; llm?: number; tasks?: number } | null
}

export type FleetShape = {
  agents_live?: number
  agents_ended?: number
  by_show?: Record<string, number>
  events_per_s?: number
  tokens_per_h?: number
  cost_nanousd_h?: number
  failed_call_share?: number
  attention?: number
  offset?: number
  clock_ms?: number
}

export type AttentionShape = {
  kind?: string
  agent?: AgentShape
  since_ms?: number
  age_ms?: number
  title?: string
  detail?: string
  span?: string
  run?: string
  evidence?: number[]
  burn_nanousd_h?: number
  score?: number
}

export type SpanShape = {
  space?: string
  span?: string
  parent?: string
  type?: string
  name?: string
  agent?: string
  to?: unknown
  run?: string
  task?: string
  session?: string
  status?: string
  open?: boolean
  start_ms?: number
  end_ms?: number
  dur_ms?: number
  ts_from?: string
  usage?: Usage | null
  error?: { code?: unknown; msg?: unknown } | null
  attempt?: number
  kind?: string
  msg?: string
  severity?: string
  no_start?: boolean
  ends?: number
  start_offset?: number
  end_offset?: number
  children?: number
  input?: unknown
  output?: unknown
  attrs?: unknown
  links?: unknown
  agents?: number
  spans?: number
  tools?: number
  errors?: number
}

export type EventShape = { offset?: number; recv_ms?: number; space?: string; agent?: string; type?: string; [field: string]: unknown }

export type Page<T> = { items?: T[] | null; next?: string; total?: number }

/** What answers about a past moment add: which it is. */
export type AsOfShape = { at?: number; partial?: boolean }

export type SeriesShape = { metric?: string; labels?: Record<string, string> | null; unit?: string; last?: number; last_ms?: number; samples?: number }

export type RangeShape = {
  series?: { metric?: string; labels?: Record<string, string> | null; t?: number[]; avg?: (number | null)[]; min?: (number | null)[]; max?: (number | null)[] }[]
  step_ms?: number
}

/** How far a server that has just started is with its views. */
export type LoadingShape = { phase?: string; done?: number; behind?: number; views?: { name?: string; done?: number; behind?: number }[] | null }

export type StatusShape = {
  version?: string
  commit?: string
  log?: { id?: string; epoch?: number; next?: number; first?: number; bytes?: number; disk_free?: number }
  views?: { name?: string; cursor?: number; lag?: number }[]
  uptime_s?: number
  ready?: boolean
  reasons?: string[]
  space_count?: number
  agents?: number
  events_total?: number
  records_total?: number
  first_event?: boolean
  listeners?: { name?: string; addr?: string; roles?: string[] | string }[]
  hostname?: string
}

export type SetupShape = { ingest_url?: string; key?: string; snippets?: Record<string, string> }

export type SessionShape = { role?: string; space?: string; name?: string }

export type NeedShape = {
  name?: string
  unit?: string
  value?: number
  has?: number
  usable?: number
  parts?: { name?: string; value?: number }[] | null
  missing?: string[] | null
  says?: string
}

export type ObservedShape = {
  at?: string
  seconds?: number
  events_per_s?: number
  samples_per_s?: number
  deliveries_per_s?: number
  agents?: number
  connections?: number
  viewers?: number
  cpu_cores?: number
  memory_bytes?: number
  view_lag?: number
}

export type LoadShape = {
  agents?: number
  connections?: number
  events_per_s?: number
  samples_per_s?: number
  events_per_frame?: number
  days?: number
  viewers?: number
}

export type CapacityShape = {
  host?: { cores?: number; cpu?: string; memory_bytes?: number; descriptors?: number; disk_bytes?: number; disk_free_bytes?: number; disk_used_bytes?: number }
  costs?: {
    at?: string
    by?: string
    says?: string
    machine?: { cores?: number; cpu?: string }
    sources?: Record<string, { by?: string; says?: string; events?: number; minutes?: number; spread?: number }> | null
    [cost: string]: unknown
  }
  measured?: { in_force?: boolean; confidence?: string; events?: number; minutes?: number; cpu_event_us?: number; factor?: number; spread?: number; says?: string }
  live?: ObservedShape | null
  busiest?: ObservedShape | null
  descriptors_open?: number
  retain_days?: number
  of?: string
  today?: LoadShape
  times?: number
  answer?: {
    load?: LoadShape
    needs?: NeedShape[] | null
    max_times?: number
    first_limit?: string
    limits?: { name?: string; times?: number; says?: string; loose?: boolean }[] | null
    disk_bytes_per_day?: number
    disk_days?: number
    price?: { month?: number; hosts?: number; per_connection?: number; per_million_events?: number; per_connection_full?: number } | null
    unanswered?: string[] | null
    says?: string[] | null
  }
}
