import { useCallback, useEffect, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { get, query } from '../../api/http'
import type { Page, SpanShape } from '../../api/shape'
import { Link } from '../../app/Link'
import { pause } from '../../app/pause'
import { agentPath, go, runPath, to, useParam } from '../../app/router'
import { bounds, parseWindow } from '../../app/window'
import { bounded, cost, count, duration, exact, none } from '../../model/format'
import { run } from '../../model/map'
import type { RunView } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Status } from '../../parts/State'
import { Table } from '../../parts/Table'
import type { Column } from '../../parts/Table'
import { Ago, Id, Line, Moment } from '../../parts/Text'
import { now } from '../../store/clock'

const path = (r: RunView) => to(runPath(r.space, r.run || r.span))

const columns: Column<RunView>[] = [
  { id: 'status', title: 'Outcome', width: 108, cell: (r) => <Status status={r.status} />, text: (r) => r.status },
  {
    id: 'name', title: 'Run', width: 0,
    cell: (r) => <span className="pair"><Link to={path(r)} className="cut"><Line text={r.name || r.msg || r.run} max={160} /></Link><span className="faint small"><Id id={r.run || r.span} /></span></span>,
    text: (r) => r.run || r.span,
  },
  { id: 'agent', title: 'Agent', width: 128, from: 640, cell: (r) => <Link to={to(agentPath(r.space, r.agent))}><Id id={r.agent} /></Link>, text: (r) => r.agent },
  { id: 'start', title: 'Began', width: 148, num: true, from: 720, cell: (r) => <Moment at={r.start} />, text: (r) => exact(r.start), value: (r) => r.start },
  { id: 'ago', title: 'Age', width: 92, num: true, off: true, cell: (r) => <Ago at={r.start} />, text: (r) => exact(r.start), value: (r) => r.start },
  { id: 'dur', title: 'Took', width: 96, num: true, cell: (r) => (r.open ? <span className="dim">open</span> : duration(r.dur)), text: (r) => String(r.dur), value: (r) => (r.open ? null : r.dur) },
  { id: 'agents', title: 'Agents', width: 64, num: true, from: 900, cell: (r) => count(r.agents), text: (r) => String(r.agents), value: (r) => r.agents },
  { id: 'spans', title: 'Spans', width: 64, num: true, from: 900, cell: (r) => count(r.spans), text: (r) => String(r.spans), value: (r) => r.spans },
  { id: 'tools', title: 'Tools', width: 64, num: true, from: 1000, cell: (r) => count(r.tools), text: (r) => String(r.tools), value: (r) => r.tools },
  { id: 'errors', title: 'Errors', width: 64, num: true, from: 480, cell: (r) => (r.errors ? count(r.errors) : <span className="faint">0</span>), text: (r) => String(r.errors), value: (r) => r.errors },
  { id: 'tokens', title: 'Tokens', width: 88, num: true, from: 820, cell: (r) => (r.usage ? bounded(count(r.usage.tokens), r.usage.quality) : none), text: (r) => String(r.usage?.tokens ?? ''), value: (r) => r.usage?.tokens ?? null },
  { id: 'cost', title: 'Cost', width: 96, num: true, from: 560, cell: (r) => (r.usage ? cost(r.usage.cost, r.usage.quality, r.usage.tokens) : none), text: (r) => (r.usage ? cost(r.usage.cost, r.usage.quality, r.usage.tokens) : ''), value: (r) => (r.usage ? r.usage.cost / 1e9 : null) },
]

const pageSize = 200
const refreshMs = 3000

type State = { rows: RunView[]; next: string; total: number; problem: string; loaded: boolean }

export default function Runs() {
  const q = useParam('q')
  const t = useParam('t')
  const paused = useStore(pause, (p) => p.paused)
  const [state, setState] = useState<State>({ rows: [], next: '', total: 0, problem: '', loaded: false })
  const pages = useRef(1)
  const asking = useRef(0)
  const load = useCallback(async (after: string, signal?: AbortSignal) => {
    asking.current++
    try {
      const page = await get<Page<SpanShape>>('/v1/runs' + query({ q, order: 'desc', limit: pageSize, after }), signal)
      const rows = (page.items ?? []).map(run)
      setState((s) => ({ rows: after ? [...s.rows, ...rows] : rows, next: page.next ?? '', total: page.total ?? rows.length, problem: '', loaded: true }))
    } catch (e) {
      if (!signal?.aborted) setState((s) => ({ ...s, problem: e instanceof Error ? e.message : String(e), loaded: true }))
    } finally {
      asking.current--
    }
  }, [q])
  useEffect(() => {
    document.title = 'Runs · eyrie'
    pages.current = 1
    const stop = new AbortController()
    void load('', stop.signal)
    return () => stop.abort()
  }, [load])
  useEffect(() => {
    if (paused) return
    const id = setInterval(() => {
      // Who has paged on reads an older part: it is left in peace.
      if (!document.hidden && pages.current === 1 && asking.current === 0) void load('')
    }, refreshMs)
    return () => clearInterval(id)
  }, [load, paused])
  const more = useCallback(() => {
    if (!state.next) return
    pages.current++
    void load(state.next)
  }, [load, state.next])
  const { from = 0, to: until = Infinity } = bounds(parseWindow(t), now())
  const rows = state.rows.filter((r) => (r.open || (r.end || r.start) >= from) && r.start <= until)
  return (
    <div className="page">
      <h1 className="hidden">Runs</h1>
      {state.problem ? <Failed what="The runs could not be read." why={state.problem} retry={() => void load('')} /> : null}
      <Table
        id="runs" label={!state.loaded ? 'Runs' : `${count(rows.length)} runs${state.total > rows.length ? ` of ${count(state.total)}` : ''}`} columns={columns} rows={rows} rowKey={(r) => r.key} onOpen={(r) => go(path(r))} onEnd={more}
        empty={!state.loaded ? <Loading what="runs" /> : q || t ? <Empty title="No run matches">Take away the query, or choose a longer window of time.</Empty> : <Empty title="No runs yet">A run is one goal from start to outcome: a prompt to its answer, a workflow. <Link to={to('/setup')}>Connect</Link> an agent and its runs are listed here.</Empty>}
      />
    </div>
  )
}
