// The fleet as the table shows it. Rows change in place at once. Their order is made anew when
// agents come or go, and else only when a change touched it: once a second, so that rows do not
// jump about, and more seldom where sorting itself is dear.
import { useEffect, useState } from 'react'
import type { AgentKey, AgentView } from '../../model/view'
import { fleet } from '../../store/app'
import type { Sort } from '../../parts/Table'
import { compareAgents, sortAgents } from './columns'

const resortMs = 1000
const sortShare = 20 // sorting may take one part in twenty of the time
const largeFleet = 2000

export function useRows(show: string, sort: Sort): readonly AgentView[] {
  const [rows, setRows] = useState<readonly AgentView[]>([])
  const { by, desc } = sort
  useEffect(() => {
    let at = new Map<AgentKey, number>()
    let current: AgentView[] = []
    let members = -1
    let sorted = 0
    let cost = 0
    let later = 0
    const resort = () => {
      later = 0
      const begun = performance.now()
      members = fleet.store.getState().members
      const all: AgentView[] = []
      for (const a of fleet.rows.values()) if (show ? a.show === show : a.show !== 'ended') all.push(a)
      current = sortAgents(all, by, desc)
      at = new Map(current.map((a, i) => [a.key, i]))
      setRows(current)
      cost = performance.now() - begun
      sorted = performance.now()
    }
    // Tells whether a change touched the order or the selection.
    const patch = (): boolean => {
      let touched = false
      let next: AgentView[] | null = null
      for (const key of fleet.changed) {
        const i = at.get(key)
        const a = fleet.rows.get(key)
        if (i === undefined || !a) {
          touched ||= a !== undefined && (show ? a.show === show : a.show !== 'ended')
          continue
        }
        const old = current[i]
        touched ||= !old || old.show !== a.show || compareAgents(old, a, by) !== 0
        next ??= current.slice()
        next[i] = a
      }
      if (next) setRows((current = next))
      return touched
    }
    resort()
    const stop = fleet.store.subscribe((s, old) => {
      if (s.version === old.version) return
      const moved = s.members !== members
      if (moved && fleet.rows.size < largeFleet) resort()
      else if ((patch() || moved) && !later) {
        later = window.setTimeout(resort, Math.max(0, Math.max(resortMs, cost * sortShare) - (performance.now() - sorted)))
      }
    })
    return () => {
      stop()
      clearTimeout(later)
    }
  }, [show, by, desc])
  return rows
}
