// Events as they come, newest first. It holds while someone reads further down, and counts what waits.
import { useEffect, useMemo, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { pause } from '../app/pause'
import { live } from '../store/app'
import { Tail } from '../store/tail'
import type { Filter } from '../api/live'
import type { EventView } from '../model/view'
import { clock as clockText, count, exact, line } from '../model/format'
import { useVirtual } from './useVirtual'
import type { Show } from '../model/view'
import { Shape } from './State'

const severityShow: Record<string, Show> = { error: 'failed', fatal: 'failed', warn: 'stuck' }

/** One live subscription with its rows. */
export function useTail(filter: Filter, on = true) {
  const key = JSON.stringify(filter)
  const tail = useMemo(() => new Tail(), [key])
  const paused = useStore(pause, (p) => p.paused)
  const [away, setAway] = useState(false)
  const [problem, setProblem] = useState('')
  // Grows when the subscription (re)starts: what the log got before is then to be read anew.
  const [begun, setBegun] = useState(0)
  useEffect(() => {
    if (!on) return
    setProblem('')
    return live.subscribe({ what: 'events', filter: JSON.parse(key) as Filter, from: 'now', on: tail.add, gap: tail.gap, fail: setProblem, begun: () => setBegun((n) => n + 1) })
  }, [key, tail, on])
  useEffect(() => tail.hold(paused || away), [tail, paused, away])
  const state = useStore(tail.store)
  return { ...state, problem, setAway, paused, begun, seed: tail.seed }
}

const rowHeight = 24

export function TailList({ rows, waiting, held, gap, dropped, setAway, onPick, picked }: {
  rows: readonly EventView[]
  waiting: number
  held: boolean
  gap: string
  dropped: number
  setAway: (away: boolean) => void
  onPick: (e: EventView) => void
  picked: number
}) {
  const box = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLUListElement>(null)
  const { from, to } = useVirtual(body, rowHeight, rows.length)
  return (
    <div className="tail">
      {held && waiting > 0 ? (
        <button type="button" className="main new" onClick={() => { box.current?.scrollTo(0, 0); setAway(false) }}>{count(waiting)} new</button>
      ) : null}
      {gap || dropped > 0 ? <p className="small gap">{gap ? `A gap: ${gap}.` : ''} {dropped > 0 ? `${count(dropped)} older ones were let go here; the log has them.` : ''}</p> : null}
      <div className="tailbox" ref={box} data-scroll tabIndex={0} role="group" aria-label="Live events" onScroll={(e) => setAway(e.currentTarget.scrollTop > rowHeight)}>
        <ul ref={body} style={{ height: rows.length * rowHeight }}>
          {rows.slice(from, to).map((e, i) => (
            <li key={e.offset} style={{ top: (from + i) * rowHeight }} className={e.offset === picked ? 'picked' : undefined}>
              <button type="button" onClick={() => onPick(e)}>
                <time title={exact(e.at)} className="dim">{clockText(e.at)}</time>
                {severityShow[e.severity] ? <Shape show={severityShow[e.severity] as Show} /> : <span className="shape" />}
                <span className="type">{e.type}{e.phase && e.phase !== 'whole' ? <span className="faint"> {e.phase}</span> : null}</span>
                <bdi className="cut grow">{line(e.summary, 300)}</bdi>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}
