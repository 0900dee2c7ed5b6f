// The fleet as last heard. Rows lie in a Map that is changed in place; `version` tells
// readers that something moved. Messages are gathered and applied once per frame.
import { createStore } from 'zustand/vanilla'
import type { AgentName, AgentsMessage } from '../api/live'
import type { AttentionShape, FleetShape } from '../api/shape'
import { agent, agentKey, attention, fleet } from '../model/map'
import type { AgentKey, AgentView, AttentionView, FleetView } from '../model/view'
import { nextFrame } from './frames'

export type FleetState = {
  version: number
  /** Grows when rows came or went, not when one changed. */
  members: number
  loaded: boolean
  paused: boolean
  /** Rows changed while paused. */
  held: number
  summary: FleetView | null
  attention: AttentionView[]
  attentionTotal: number
  problem: string
}

export class FleetStore {
  readonly store = createStore<FleetState>(() => ({
    version: 0, members: 0, loaded: false, paused: false, held: 0, summary: null, attention: [], attentionTotal: 0, problem: '',
  }))
  readonly rows = new Map<AgentKey, AgentView>()
  /** Keys changed by the last flush; a reader that must know more asks for version. */
  changed: ReadonlySet<AgentKey> = new Set()

  private readonly coming = new Map<AgentKey, AgentView | null>()
  private comingFleet: { summary: FleetView; attention: AttentionView[]; total: number } | null = null
  private seen: Set<AgentKey> | null = null
  private looked: { keys: string; agents: readonly AgentName[] } = { keys: '', agents: [] }
  private tell: ((agents: readonly AgentName[]) => void) | null = null
  private ready = false

  /** A subscription (re)starts: what the snapshot does not name will be gone. */
  readonly begin = (): void => {
    this.seen = new Set()
    this.store.setState({ problem: '' })
  }

  readonly agents = (m: AgentsMessage): void => {
    for (const item of m.items) {
      const view = agent(item)
      this.seen?.add(view.key)
      this.coming.set(view.key, view)
    }
    for (const name of m.gone) {
      this.coming.set(agentKey(name.space ?? '', name.id ?? ''), null)
    }
    if (m.end && this.seen) {
      for (const key of this.rows.keys()) if (!this.seen.has(key) && !this.coming.has(key)) this.coming.set(key, null)
      this.seen = null
      this.ready = true
    }
    nextFrame(this.flush)
  }

  readonly fleet = (f: FleetShape, rows: AttentionShape[], total: number): void => {
    this.comingFleet = { summary: fleet(f), attention: rows.map(attention), total }
    nextFrame(this.flush)
  }

  readonly fail = (problem: string): void => this.store.setState({ problem })

  /** Says which rows are in sight: they are kept the newest. */
  look(rows: readonly AgentView[]): void {
    const keys = rows.map((r) => r.key).join()
    if (keys === this.looked.keys) return
    this.looked = { keys, agents: rows.map(({ space, id }) => ({ space, id })) }
    this.tell?.(this.looked.agents)
  }

  /** Has fn told of the rows in sight, now and whenever these are others; null ends it. */
  whenLooked(fn: ((agents: readonly AgentName[]) => void) | null): void {
    this.tell = fn
    if (this.looked.agents.length) fn?.(this.looked.agents)
  }

  pause(paused: boolean): void {
    this.store.setState({ paused })
    if (!paused) nextFrame(this.flush)
  }

  /** Forgets all rows: the filter changed. */
  clear(): void {
    this.rows.clear()
    this.coming.clear()
    this.seen = null
    this.ready = false
    const s = this.store.getState()
    this.store.setState({ loaded: false, version: s.version + 1, members: s.members + 1, held: 0, problem: '' })
  }

  private readonly flush = (): void => {
    const s = this.store.getState()
    if (s.paused) {
      if (s.held !== this.coming.size) this.store.setState({ held: this.coming.size })
      return
    }
    if (this.coming.size === 0 && !this.comingFleet && s.loaded === this.ready) return
    let members = s.members
    const changed = new Set<AgentKey>()
    for (const [key, view] of this.coming) {
      changed.add(key)
      if (view === null) {
        if (this.rows.delete(key)) members = s.members + 1
        continue
      }
      if (!this.rows.has(key) || this.rows.get(key)?.ended !== view.ended) members = s.members + 1
      this.rows.set(key, view)
    }
    this.coming.clear()
    this.changed = changed
    const next: Partial<FleetState> = { version: s.version + 1, members, held: 0, loaded: this.ready }
    if (this.comingFleet) {
      next.summary = this.comingFleet.summary
      next.attention = this.comingFleet.attention
      next.attentionTotal = this.comingFleet.total
      this.comingFleet = null
    }
    this.store.setState(next)
  }
}
