import { useCallback, useEffect, useRef, useState } from 'react'
import { Problem } from '../api/http'

export type Loaded<T> = { data: T | null; problem: string; status: number; loading: boolean; reload: () => void }

/** Loads when what it depends on changes; keeps the old data meanwhile; the newest request wins. every: repeats, ms. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[], every = 0): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; problem: string; status: number; loading: boolean }>({ data: null, problem: '', status: 0, loading: true })
  const [turn, setTurn] = useState(0)
  const latest = useRef(load)
  latest.current = load
  useEffect(() => {
    const stop = new AbortController()
    setState((s) => ({ ...s, loading: true }))
    latest.current(stop.signal).then(
      (data) => setState({ data, problem: '', status: 200, loading: false }),
      (e: unknown) => {
        if (stop.signal.aborted) return
        const p = e instanceof Problem ? e : new Problem(0, '', e instanceof Error ? e.message : String(e))
        setState((s) => ({ ...s, problem: p.message, status: p.status, loading: false }))
      },
    )
    return () => stop.abort()
  }, [...deps, turn])
  const reload = useCallback(() => setTurn((n) => n + 1), [])
  useEffect(() => {
    if (!every) return
    const id = setInterval(() => {
      if (!document.hidden) reload()
    }, every)
    return () => clearInterval(id)
  }, [every, reload])
  return { ...state, reload }
}
