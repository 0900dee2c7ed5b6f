import { useCallback, useEffect, useState } from 'react'
import { setParams, useParam } from '../../app/router'
import { get, Problem, query } from '../../api/http'
import type { AgentShape, AsOfShape, AttentionShape, FleetShape, Page } from '../../api/shape'
import { count, exact, moment } from '../../model/format'
import { agent, attention, fleet } from '../../model/map'
import type { AgentView } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Table } from '../../parts/Table'
import { useLoad } from '../../parts/useLoad'
import { holdClock } from '../../store/clock'
import { Attention } from './Attention'
import { columns } from './columns'
import { apiSort, open, rowKey, useSort } from './Fleet'
import { Strip } from './Strip'

type Rows = { rows: AgentView[]; next: string; total: number; problem: string; loaded: boolean }

const none: Rows = { rows: [], next: '', total: 0, problem: '', loaded: false }

/** The fleet as it was. All that the page shows is of one offset: the one that the first answer names. */
export function Past({ at, ended, tools }: { at: string; ended: boolean; tools: React.ReactNode }) {
  const state = useLoad(async (signal) => {
    const f = await get<FleetShape & AsOfShape>('/v1/state' + query({ at }), signal)
    const of = `offset:${f.offset ?? 0}`
    const a = await get<Page<AttentionShape>>('/v1/attention' + query({ at: of, limit: 100 }), signal)
    return { of, at: f.at ?? 0, partial: f.partial === true, summary: fleet(f), attention: (a.items ?? []).map(attention), attentionTotal: a.total ?? 0 }
  }, [at])
  const then = state.data
  const when = then?.at ?? 0
  useEffect(() => {
    holdClock(when)
    return () => holdClock(0)
  }, [when])
  return (
    <>
      <div className="problem past" role="status">
        <span>
          <strong>You look at the past</strong>
          {then ? <>: <time title={exact(when)}>{moment(when, 0)}:{String(new Date(when).getSeconds()).padStart(2, '0')}</time></> : null}
          {then?.partial ? <span className="dim"> · what retention has dropped is missing</span> : null}
        </span>
        <button type="button" onClick={() => setParams({ at: '' }, false)}>Back to live</button>
      </div>
      {state.problem ? <Failed what="That moment could not be told." why={state.problem} retry={state.reload} /> : null}
      {then ? (
        <>
          <Attention past={then} />
          <Strip past={then.summary} />
        </>
      ) : null}
      {then ? <Agents of={then.of} ended={ended} tools={tools} /> : state.problem ? <div className="rowflow">{tools}</div> : <Loading what="the fleet as it was" />}
    </>
  )
}

function Agents({ of, ended, tools }: { of: string; ended: boolean; tools: React.ReactNode }) {
  const q = useParam('q')
  const show = useParam('show')
  const [sort, setSort] = useSort()
  const by = apiSort[sort.by] ?? 'last'
  const order = sort.by === 'state' ? 'desc' : sort.desc ? 'desc' : 'asc'
  const [state, setState] = useState<Rows>(none)
  const load = useCallback((after: string, signal?: AbortSignal) =>
    get<Page<AgentShape>>('/v1/agents' + query({ at: of, ended: ended ? 1 : 0, state: show, q, sort: by, order, limit: 500, after }), signal)
      .then((p) => setState((s) => ({ rows: [...(after ? s.rows : []), ...(p.items ?? []).map(agent)], next: p.next ?? '', total: p.total ?? 0, problem: '', loaded: true })))
      .catch((e: unknown) => {
        if (!signal?.aborted) setState((s) => ({ ...s, next: '', problem: e instanceof Problem ? e.message : String(e), loaded: true }))
      }), [of, ended, show, q, by, order])
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
      {state.problem ? <Failed what="The agents of then could not be read." why={state.problem} retry={() => void load('')} /> : null}
      <Table
        id="fleet" label={`${count(state.total)} ${state.total === 1 ? 'agent' : 'agents'} then`} columns={columns} rows={state.rows} rowKey={rowKey} sort={sort} onSort={setSort} onOpen={open} onEnd={more} tools={tools}
        empty={state.loaded ? <Empty title="No agent then">{q || show ? 'None that the filter matches.' : 'Nobody had been seen by that time.'}</Empty> : <Loading what="the agents of then" />}
      />
    </>
  )
}
