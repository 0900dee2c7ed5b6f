// One WebSocket to /v1/live for all subscriptions of a page.
// It reconnects with backoff and jitter, resumes events behind the last offset it
// handed out, and never lets the server send more than the credits it gave.
import type { AgentShape, AttentionShape, EventShape, FleetShape, LoadingShape } from './shape'

export type LinkStatus = 'connecting' | 'live' | 'offline'

export type LinkState = {
  status: LinkStatus
  /** Round trip of the last ping, ms; -1 before the first. */
  rtt: number
  /** Server clock minus ours, ms. */
  skew: number
  /** When the last message came, our clock. */
  heard: number
  /** When the next attempt is due, our clock; 0 when none is. */
  retryAt: number
  attempts: number
  log: string
  epoch: number
  /** How far the server is with loading its views; null once they are there. */
  loading: LoadingShape | null
}

export type Filter = { space?: string; agent?: string; type?: string[]; severity?: string; run?: string; q?: string }

export type AgentName = { space: string; id: string }

export type AgentsMessage = { items: AgentShape[]; gone: { space?: string; id?: string }[]; snapshot: boolean; end: boolean; offset: number }

export type Subscription =
  | { what: 'agents'; filter: Filter; on: (m: AgentsMessage) => void; fail?: (detail: string) => void; begin?: () => void }
  | { what: 'fleet'; filter: Filter; on: (fleet: FleetShape, attention: AttentionShape[], total: number) => void; fail?: (detail: string) => void }
  | { what: 'events'; filter: Filter; from: 'now' | number | string; on: (items: EventShape[]) => void; gap?: (reason: string) => void; fail?: (detail: string) => void; begun?: () => void }

/** What of WebSocket we use, so that a test can stand in for it. */
export type Wire = {
  send: (text: string) => void
  close: (code?: number) => void
  onopen: (() => void) | null
  onmessage: ((m: { data: unknown }) => void) | null
  onclose: ((c: { code: number }) => void) | null
}

export type Env = {
  open: () => Wire
  now: () => number
  random: () => number
  after: (ms: number, fn: () => void) => () => void
  changed: (state: LinkState) => void
  /** Called when a connection ended without ever opening: perhaps the session is over. */
  refused: () => void
}

const creditsMax = 2000
const focusMax = 512
const pingEveryMs = 5000
const pongWithinMs = 12_000
const backoffFirstMs = 400
const backoffMaxMs = 15_000

// offset: where a resume begins; seen: the newest event handed out.
// focus: the rows that the server sends before all others.
type Entry = { id: number; sub: Subscription; left: number; offset: number; seen: number; focus: readonly AgentName[] }

type Message = {
  op?: string
  id?: number
  log?: string
  epoch?: number
  offset?: number
  clock_ms?: number
  t?: number
  recovered?: boolean
  items?: unknown[] | null
  gone?: { space?: string; id?: string }[] | null
  snapshot?: boolean
  end?: boolean
  fleet?: FleetShape
  attention?: { items?: AttentionShape[] | null; total?: number } | AttentionShape[] | null
  code?: string
  detail?: string
  progress?: LoadingShape
}

export class Live {
  private readonly env: Env
  private wire: Wire | null = null
  private readonly entries = new Map<number, Entry>()
  private nextId = 1
  private cancelRetry = () => {}
  private cancelPing = () => {}
  private stopped = true
  private greeted = false
  private pingSent = 0
  state: LinkState = { status: 'connecting', rtt: -1, skew: 0, heard: 0, retryAt: 0, attempts: 0, log: '', epoch: 0, loading: null }

  constructor(env: Env) {
    this.env = env
  }

  start(): void {
    if (!this.stopped) return
    this.stopped = false
    this.connect()
  }

  stop(): void {
    this.stopped = true
    this.cancelRetry()
    this.drop()
    this.set({ status: 'offline', retryAt: 0 })
  }

  /** Tries at once instead of waiting for the backoff to pass. */
  retryNow(): void {
    if (this.stopped || this.wire) return
    this.cancelRetry()
    this.connect()
  }

  /** After sleep a socket may be dead without knowing it: ask. */
  probe(): void {
    if (this.wire && this.greeted) this.ping()
    else this.retryNow()
  }

  /** Adds a subscription and returns what ends it. */
  subscribe(sub: Subscription): () => void {
    const entry: Entry = { id: this.nextId++, sub, left: 0, offset: -1, seen: -1, focus: [] }
    this.entries.set(entry.id, entry)
    if (this.greeted) this.ask(entry)
    return () => {
      if (!this.entries.delete(entry.id)) return
      if (this.greeted) this.send({ op: 'unsubscribe', id: entry.id })
    }
  }

  /** Says which agents of a subscription are looked at: their rows come before all others. */
  focus(sub: Subscription, agents: readonly AgentName[]): void {
    for (const entry of this.entries.values()) {
      if (entry.sub !== sub) continue
      entry.focus = agents.slice(0, focusMax)
      if (this.greeted) this.send({ op: 'focus', id: entry.id, agents: entry.focus })
    }
  }

  private set(part: Partial<LinkState>): void {
    this.state = { ...this.state, ...part }
    this.env.changed(this.state)
  }

  private send(message: object): void {
    this.wire?.send(JSON.stringify(message))
  }

  private connect(): void {
    const wire = this.env.open()
    let opened = false
    this.wire = wire
    this.greeted = false
    this.set({ status: 'connecting', retryAt: 0 })
    wire.onopen = () => { opened = true }
    wire.onmessage = (m) => {
      if (this.wire === wire && typeof m.data === 'string') this.receive(m.data)
    }
    wire.onclose = () => {
      if (this.wire !== wire) return
      this.lost()
      if (!opened) this.env.refused()
    }
  }

  private drop(): void {
    const wire = this.wire
    this.wire = null
    this.greeted = false
    this.cancelPing()
    if (!wire) return
    wire.onopen = wire.onmessage = wire.onclose = null
    wire.close(1000)
  }

  private lost(): void {
    this.drop()
    if (this.stopped) return
    const ceiling = Math.min(backoffMaxMs, backoffFirstMs * 2 ** this.state.attempts)
    const wait = ceiling / 2 + (this.env.random() * ceiling) / 2
    this.set({ status: 'offline', attempts: this.state.attempts + 1, retryAt: this.env.now() + wait })
    this.cancelRetry()
    this.cancelRetry = this.env.after(wait, () => this.connect())
  }

  private receive(text: string): void {
    const m = JSON.parse(text) as Message
    const now = this.env.now()
    this.state.heard = now
    if (m.op === 'hello') return this.hello(m, now)
    if (m.op === 'pong') return this.pong(m, now)
    if (m.op === 'loading') return this.set({ loading: m.progress ?? {} })
    if (m.op === 'loaded') return this.set({ loading: null })
    const entry = m.id === undefined ? undefined : this.entries.get(m.id)
    if (!entry) return
    if (m.op === 'error') {
      entry.sub.fail?.(m.detail || m.code || 'the server refused the subscription')
      return
    }
    this.deliver(entry, m)
  }

  private hello(m: Message, now: number): void {
    const log = m.log ?? ''
    const epoch = m.epoch ?? 0
    const other = this.state.log !== '' && (log !== this.state.log || epoch !== this.state.epoch)
    this.greeted = true
    this.set({ status: 'live', attempts: 0, retryAt: 0, heard: now, log, epoch, loading: null, skew: m.clock_ms ? m.clock_ms - now : this.state.skew })
    for (const entry of this.entries.values()) {
      if (other && entry.sub.what === 'events' && entry.offset >= 0) {
        entry.offset = entry.seen = -1 // offsets of another history mean nothing here
        entry.sub.gap?.('the log began a new epoch')
      }
      this.ask(entry)
    }
    this.ping()
  }

  private ping(): void {
    this.cancelPing()
    this.pingSent = this.env.now()
    this.send({ op: 'ping', t: this.pingSent })
    this.cancelPing = this.env.after(pongWithinMs, () => this.lost())
  }

  private pong(m: Message, now: number): void {
    if (m.t !== this.pingSent) return
    this.cancelPing()
    const rtt = now - this.pingSent
    this.set({ rtt, skew: m.clock_ms ? m.clock_ms - (now - rtt / 2) : this.state.skew })
    this.cancelPing = this.env.after(pingEveryMs, () => this.ping())
  }

  private ask(entry: Entry): void {
    const { sub } = entry
    const events = sub.what === 'events'
    entry.left = creditsMax
    if (sub.what === 'agents') sub.begin?.()
    this.send({
      op: 'subscribe', id: entry.id, what: sub.what, filter: sub.filter,
      from: !events ? 'now' : entry.offset >= 0 ? entry.offset : sub.from,
      mode: events ? 'all' : 'latest', credits: creditsMax,
    })
    if (entry.focus.length) this.send({ op: 'focus', id: entry.id, agents: entry.focus })
  }

  private deliver(entry: Entry, m: Message): void {
    const { sub } = entry
    if (m.op === 'subscribed') {
      if (sub.what !== 'events') return
      if (m.recovered === false && entry.offset >= 0) sub.gap?.('events between were no longer held')
      if (entry.offset < 0 && m.offset) entry.offset = m.offset
      sub.begun?.()
      return
    }
    if (m.op !== sub.what) return
    if (this.state.loading && sub.what !== 'events') this.set({ loading: null }) // rows are there, so views are
    const items = m.items ?? []
    this.spend(entry, sub.what === 'fleet' ? 1 : Math.max(1, items.length + (m.gone?.length ?? 0)))
    if (sub.what === 'agents') {
      sub.on({ items: items as AgentShape[], gone: m.gone ?? [], snapshot: m.snapshot === true, end: m.end === true, offset: m.offset ?? 0 })
    } else if (sub.what === 'fleet') {
      const a = m.attention
      const rows = Array.isArray(a) ? a : (a?.items ?? [])
      sub.on(m.fleet ?? {}, rows, Array.isArray(a) ? a.length : (a?.total ?? rows.length))
    } else {
      const fresh = this.behind(entry, items as EventShape[])
      if (m.offset !== undefined && m.offset > entry.offset) entry.offset = m.offset
      if (fresh.length) sub.on(fresh)
    }
  }

  // Whether a resume repeats the event at the offset is the server's choice: what was seen is dropped.
  private behind(entry: Entry, items: EventShape[]): EventShape[] {
    const fresh: EventShape[] = []
    for (const e of items) {
      const at = e.offset ?? 0
      if (at <= entry.seen) continue
      entry.seen = at
      fresh.push(e)
    }
    return fresh
  }

  private spend(entry: Entry, n: number): void {
    entry.left -= n
    if (entry.left > creditsMax / 2) return
    const more = creditsMax - Math.max(0, entry.left)
    entry.left = Math.max(0, entry.left) + more
    this.send({ op: 'request', id: entry.id, n: more })
  }
}
