import { useCallback, useEffect, useRef, useState } from 'react'
import { get, path, Problem, query } from '../../api/http'
import type { Page, SpanShape } from '../../api/shape'
import { pause } from '../../app/pause'
import { run, span } from '../../model/map'
import type { RunView, SpanView } from '../../model/view'
import { live } from '../../store/app'

const pageSize = 1000
const spansMax = 20_000
const freshMax = 300
const refreshMs = 1000

export type RunState = { run: RunView | null; spans: SpanView[]; total: number; problem: string; missing: boolean; loaded: boolean }

/** A run with its spans, page by page; what the run does from now on is added. */
export function useRun(space: string, id: string) {
  const [state, setState] = useState<RunState>({ run: null, spans: [], total: 0, problem: '', missing: false, loaded: false })
  const all = useRef(new Map<string, SpanView>())
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const stop = new AbortController()
    let timer = 0
    const put = (p: Page<SpanShape>) => {
      for (const s of p.items ?? []) {
        const v = span(s)
        all.current.set(v.key, v)
      }
      setState((s) => ({ ...s, spans: [...all.current.values()], total: Math.max(p.total ?? 0, all.current.size) }))
    }
    const head = async () => {
      const r = run(await get<SpanShape>('/v1/runs' + path(space, id), stop.signal))
      setState((s) => ({ ...s, run: r, problem: '', missing: false }))
    }
    const fail = (e: unknown) => {
      if (stop.signal.aborted) return
      setState((s) => ({ ...s, loaded: true, problem: e instanceof Error ? e.message : String(e), missing: e instanceof Problem && e.status === 404 }))
    }
    const load = async () => {
      await head()
      let after = ''
      do {
        const page: Page<SpanShape> = await get('/v1/spans' + query({ space, run: id, order: 'asc', limit: pageSize, after }), stop.signal)
        put(page)
        after = page.next ?? ''
      } while (after && all.current.size < spansMax)
      setState((s) => ({ ...s, loaded: true }))
    }
    const refresh = async () => {
      timer = 0
      await head()
      put(await get('/v1/spans' + query({ space, run: id, order: 'desc', limit: freshMax }), stop.signal))
    }
    all.current = new Map()
    load().catch(fail)
    const end = live.subscribe({
      what: 'events', filter: { space, run: id }, from: 'now',
      on: () => {
        if (!timer && !pause.getState().paused) timer = window.setTimeout(() => void refresh().catch(fail), refreshMs)
      },
    })
    return () => {
      stop.abort()
      end()
      clearTimeout(timer)
    }
  }, [space, id, turn])
  return { ...state, retry: useCallback(() => setTurn((n) => n + 1), []) }
}
