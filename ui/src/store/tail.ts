// The newest events of one live subscription, bounded. While held, what arrives waits and is counted.
import { createStore } from 'zustand/vanilla'
import type { EventShape } from '../api/shape'
import { event } from '../model/map'
import type { EventView } from '../model/view'
import { nextFrame } from './frames'

export type TailState = { rows: readonly EventView[]; held: boolean; waiting: number; dropped: number; gap: string }

export class Tail {
  readonly store = createStore<TailState>(() => ({ rows: [], held: false, waiting: 0, dropped: 0, gap: '' }))
  private readonly max: number
  private coming: EventView[] = []
  private dropped = 0

  constructor(max = 2000) {
    this.max = max
  }

  readonly add = (items: EventShape[]): void => {
    for (const e of items) this.coming.push(event(e))
    if (this.coming.length > this.max) {
      this.dropped += this.coming.length - this.max
      this.coming = this.coming.slice(-this.max)
    }
    nextFrame(this.flush)
  }

  /** Older rows from the log, newest first, put below what came live. */
  readonly seed = (items: readonly EventView[]): void => {
    const have = new Set(this.store.getState().rows.map((e) => e.offset))
    const rows = [...this.store.getState().rows, ...items.filter((e) => !have.has(e.offset))].toSorted((a, b) => b.offset - a.offset)
    this.store.setState({ rows: rows.slice(0, Math.max(this.max, items.length)) })
  }

  readonly gap = (reason: string): void => this.store.setState({ gap: reason })

  hold(held: boolean): void {
    if (this.store.getState().held === held) return
    this.store.setState({ held })
    if (!held) this.flush()
  }

  clear(): void {
    this.coming = []
    this.dropped = 0
    this.store.setState({ rows: [], waiting: 0, dropped: 0, gap: '' })
  }

  private readonly flush = (): void => {
    const s = this.store.getState()
    if (s.held) {
      this.store.setState({ waiting: this.coming.length, dropped: this.dropped })
      return
    }
    if (this.coming.length === 0 && s.waiting === 0) return
    const newest = s.rows[0]?.offset ?? -1
    const fresh = this.coming.filter((e) => e.offset > newest).toReversed()
    this.coming = []
    this.store.setState({ rows: [...fresh, ...s.rows].slice(0, this.max), waiting: 0, dropped: this.dropped })
  }
}
