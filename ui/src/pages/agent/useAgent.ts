// One agent and its spans, kept true by the live link.
import { useCallback, useEffect, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { get, path, Problem, query } from '../../api/http'
import type { AgentShape, Page, SpanShape } from '../../api/shape'
import { pause } from '../../app/pause'
import { agent, agentKey, span } from '../../model/map'
import type { AgentView, SpanView } from '../../model/view'
import { fleet, live } from '../../store/app'

export function useAgent(space: string, id: string) {
  const [state, setState] = useState<{ agent: AgentView | null; problem: string; missing: boolean }>(() => ({ agent: fleet.rows.get(agentKey(space, id)) ?? null, problem: '', missing: false }))
  const paused = useStore(pause, (p) => p.paused)
  const held = useRef(paused)
  held.current = paused
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const stop = new AbortController()
    get<AgentShape>('/v1/agents' + path(space, id), stop.signal).then(
      (a) => setState({ agent: agent(a), problem: '', missing: false }),
      (e: unknown) => {
        if (stop.signal.aborted) return
        setState((s) => ({ ...s, problem: e instanceof Error ? e.message : String(e), missing: e instanceof Problem && e.status === 404 }))
      },
    )
    const end = live.subscribe({
      what: 'agents', filter: { space, agent: id },
      on: (m) => {
        const own = m.items.findLast((a) => a.id === id && a.space === space)
        if (own && !held.current) setState({ agent: agent(own), problem: '', missing: false })
      },
    })
    return () => {
      stop.abort()
      end()
    }
  }, [space, id, turn])
  return { ...state, retry: useCallback(() => setTurn((n) => n + 1), []) }
}

const firstMax = 1000
const freshMax = 100
const keptMax = 5000

export type Bounds = { from?: number; to?: number }

/** The newest spans of an agent. moved: something that changes when the agent did anything. */
export function useSpans(space: string, id: string, bounds: Bounds, moved: number) {
  const [state, setState] = useState<{ spans: SpanView[]; total: number; problem: string; loaded: boolean }>({ spans: [], total: 0, problem: '', loaded: false })
  const all = useRef(new Map<string, SpanView>())
  const { from, to } = bounds
  const load = useCallback(async (limit: number, fresh: boolean, signal?: AbortSignal) => {
    try {
      const page = await get<Page<SpanShape>>('/v1/spans' + query({ space, agent: id, from_ms: from, to_ms: to, order: 'desc', limit }), signal)
      if (fresh) all.current = new Map()
      for (const s of page.items ?? []) {
        const v = span(s)
        all.current.set(v.key, v)
      }
      const spans = [...all.current.values()].toSorted((a, b) => b.start - a.start).slice(0, keptMax)
      setState({ spans, total: page.total ?? spans.length, problem: '', loaded: true })
    } catch (e) {
      if (!signal?.aborted) setState((s) => ({ ...s, problem: e instanceof Error ? e.message : String(e), loaded: true }))
    }
  }, [space, id, from, to])
  useEffect(() => {
    const stop = new AbortController()
    void load(firstMax, true, stop.signal)
    return () => stop.abort()
  }, [load])
  // At most one request a second, and one more after the last change.
  const timer = useRef(0)
  useEffect(() => {
    if (!moved || timer.current) return
    timer.current = window.setTimeout(() => {
      timer.current = 0
      void load(freshMax, false)
    }, 1000)
  }, [moved, load])
  useEffect(() => () => {
    clearTimeout(timer.current)
    timer.current = 0
  }, [load])
  return state
}
