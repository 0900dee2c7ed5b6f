import { useCallback, useEffect, useState } from 'react'
import { useStore } from 'zustand'
import { Link } from '../../app/Link'
import { agentPath, go, setParams, to, useParam } from '../../app/router'
import { get, Problem, query } from '../../api/http'
import type { AgentShape, Page } from '../../api/shape'
import { agent } from '../../model/map'
import { count } from '../../model/format'
import type { AgentView } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Table } from '../../parts/Table'
import type { Sort } from '../../parts/Table'
import { fleet } from '../../store/app'
import { AsOf } from './AsOf'
import { Attention } from './Attention'
import { Cells } from './Cells'
import { columns } from './columns'
import { Past } from './Past'
import { Strip } from './Strip'
import { useRows } from './useRows'

export const open = (a: AgentView) => go(to(agentPath(a.space, a.id)))
export const rowKey = (a: AgentView) => a.key
const sight = (rows: readonly AgentView[]) => fleet.look(rows)

export function useSort(): [Sort, (s: Sort) => void] {
  const text = useParam('sort')
  const sort = { by: text.replace(/^-/, '') || 'state', desc: text.startsWith('-') }
  return [sort, (s) => setParams({ sort: (s.desc ? '-' : '') + s.by })]
}

export const apiSort: Record<string, string> = { state: 'state', name: 'name', last: 'last', tokens: 'tokens', cost: 'cost', failures: 'failures' }

/** The archive: agents that have ended come from the server page by page. */
function Ended({ tools }: { tools: React.ReactNode }) {
  const q = useParam('q')
  const [sort, setSort] = useSort()
  const by = apiSort[sort.by] ?? 'last'
  const order = sort.by === 'state' ? 'desc' : sort.desc ? 'desc' : 'asc'
  const [state, setState] = useState<{ rows: AgentView[]; next: string; total: number; problem: string; loaded: boolean }>({ rows: [], next: '', total: 0, problem: '', loaded: false })
  const load = useCallback((after: string, signal?: AbortSignal) =>
    get<Page<AgentShape>>('/v1/agents' + query({ ended: 1, q, sort: by === 'state' ? 'last' : by, order, limit: 500, after }), signal)
      .then((p) => setState((s) => ({ rows: [...(after ? s.rows : []), ...(p.items ?? []).map(agent)], next: p.next ?? '', total: p.total ?? 0, problem: '', loaded: true })))
      .catch((e: unknown) => {
        if (!signal?.aborted) setState((s) => ({ ...s, next: '', problem: e instanceof Problem ? e.message : String(e), loaded: true }))
      }), [q, by, order])
  useEffect(() => {
    const stop = new AbortController()
    void load('', stop.signal)
    return () => stop.abort()
  }, [load])
  const more = useCallback(() => {
    if (state.next) void load(state.next)
  }, [load, state.next])
  return (
    <>
      {state.problem ? <Failed what="The archive could not be read." why={state.problem} retry={() => void load('')} /> : null}
      <Table
        id="fleet" label={`${count(state.total)} ended`} columns={columns} rows={state.rows} rowKey={rowKey} sort={sort} onSort={setSort} onOpen={open} onEnd={more} tools={tools}
        empty={state.loaded ? <Empty title="No agent has ended">{q ? 'None that the query matches.' : 'Agents come here when they say that they are done, or leave for good.'}</Empty> : <Loading what="ended agents" />}
      />
    </>
  )
}

function Current({ tools }: { tools: React.ReactNode }) {
  const show = useParam('show')
  const q = useParam('q')
  const [sort, setSort] = useSort()
  const rows = useRows(show, sort)
  const loaded = useStore(fleet.store, (s) => s.loaded)
  const problem = useStore(fleet.store, (s) => s.problem)
  const empty = problem ? (
    <Empty title="The query was not understood">{problem}</Empty>
  ) : !loaded ? (
    <Loading what="the fleet" />
  ) : show || q ? (
    <Empty title="No agent matches">Take away <button type="button" className="quiet" onClick={() => setParams({ q: '', show: '' })}>the filter</button> to see all of them.</Empty>
  ) : (
    <Empty title="No agent is live">Point one here: <Link to={to('/setup')}>Connect</Link> shows how. Those that ended are under “Ended”.</Empty>
  )
  return (
    <Table
      id="fleet" label={!loaded ? 'Agents' : `${count(rows.length)} ${rows.length === 1 ? 'agent' : 'agents'}`} columns={columns} rows={rows} rowKey={rowKey} sort={sort} onSort={setSort} onOpen={open} onSight={sight} tools={tools} empty={empty}
    />
  )
}

export function Fleet() {
  const ended = useParam('scope') === 'ended'
  const at = useParam('at')
  useEffect(() => {
    document.title = 'Fleet · eyrie'
  }, [])
  const tools = (
    <>
      <AsOf />
      <span className="segments" role="group" aria-label="Which agents">
        <button type="button" aria-pressed={!ended} onClick={() => setParams({ scope: '', sort: '' })}>{at ? 'Alive' : 'Live'}</button>
        <button type="button" aria-pressed={ended} onClick={() => setParams({ scope: 'ended', show: '', sort: '' })}>Ended</button>
      </span>
    </>
  )
  if (at) {
    return (
      <div className="page">
        <h1 className="hidden">Fleet</h1>
        <Past key={at} at={at} ended={ended} tools={tools} />
      </div>
    )
  }
  return (
    <div className="page">
      <h1 className="hidden">Fleet</h1>
      <Attention />
      <Strip />
      <Cells />
      {ended ? <Ended tools={tools} /> : <Current tools={tools} />}
    </div>
  )
}
