// The fleet as the table shows it. Rows change in place at once; their order is made anew
// when agents come or go, and else once a second, so that rows do not jump about.
import { useEffect, useState } from 'react'
import type { AgentKey, AgentView } from '../../model/view'
import { fleet } from '../../store/app'
import type { Sort } from '../../parts/Table'
import { sortAgents } from './columns'

const resortMs = 1000
const largeFleet = 2000

export function useRows(show: string, sort: Sort): readonly AgentView[] {
  const [rows, setRows] = useState<readonly AgentView[]>([])
  const { by, desc } = sort
  useEffect(() => {
    let at = new Map<AgentKey, number>()
    let current: AgentView[] = []
    let members = -1
    let sorted = 0
    let later = 0
    const resort = () => {
      later = 0
      sorted = performance.now()
      members = fleet.store.getState().members
      const all: AgentView[] = []
      for (const a of fleet.rows.values()) if (show ? a.show === show : a.show !== 'ended') all.push(a)
      current = sortAgents(all, by, desc)
      at = new Map(current.map((a, i) => [a.key, i]))
      setRows(current)
    }
    const patch = () => {
      let next: AgentView[] | null = null
      for (const key of fleet.changed) {
        const i = at.get(key)
        const a = fleet.rows.get(key)
        if (i === undefined || !a) continue
        next ??= current.slice()
        next[i] = a
      }
      if (next) setRows((current = next))
    }
    resort()
    const stop = fleet.store.subscribe((s, old) => {
      if (s.version === old.version) return
      const moved = s.members !== members
      if (moved && fleet.rows.size < largeFleet) resort()
      else {
        patch()
        if (!later) later = window.setTimeout(resort, Math.max(0, resortMs - (performance.now() - sorted)))
      }
    })
    return () => {
      stop()
      clearTimeout(later)
    }
  }, [show, by, desc])
  return rows
}
