import { useCallback, useEffect, useMemo, useState } from 'react'
import { useStore } from 'zustand'
import { get, query } from '../../api/http'
import type { EventShape, Page } from '../../api/shape'
import { setParams, useParam } from '../../app/router'
import { bounds, parseWindow, rangeParam } from '../../app/window'
import { count, line } from '../../model/format'
import { agentKey, event } from '../../model/map'
import type { EventView, SpanView } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Table } from '../../parts/Table'
import type { Sort } from '../../parts/Table'
import { TailList, useTail } from '../../parts/Tail'
import { useLoad } from '../../parts/useLoad'
import { clock } from '../../store/clock'
import { pause } from '../../app/pause'
import { Charts } from './Charts'
import { EventDetails, SpanDetails } from './Details'
import { Header } from './Header'
import { extent, lanes } from './lanes'
import { sortSpans, spanColumns } from './spanColumns'
import { Tiles } from './Tiles'
import { Timeline } from './Timeline'
import { useAgent, useSpans } from './useAgent'

const recentMs = 15 * 60_000
const chartStepMs = 5000

/** The window shown: what the address says, else the last 15 minutes, else when the agent last did anything. */
function useWindow(spans: readonly SpanView[]): { from: number; to: number } {
  const t = useParam('t')
  const paused = useStore(pause, (p) => p.paused)
  const tick = useStore(clock, (c) => Math.ceil(c.now / chartStepMs) * chartStepMs)
  const [held, setHeld] = useState(tick)
  useEffect(() => {
    if (!paused) setHeld(tick)
  }, [tick, paused])
  return useMemo(() => {
    const w = parseWindow(t)
    if (w.kind === 'range') return { from: w.from, to: w.to }
    if (w.kind === 'last') return { from: held - w.ms, to: held }
    const all = extent(spans, held)
    if (!all || all.to > held - recentMs) return { from: Math.max(all?.from ?? 0, held - recentMs), to: held }
    return all
  }, [t, held, spans])
}

const zoom = (from: number, to: number) => setParams({ t: rangeParam(from, to) }, false)
const reset = () => setParams({ t: '' }, false)
const openSpan = (s: SpanView) => setParams({ span: s.span })
const closeSpan = () => setParams({ span: '' })
const rowKey = (s: SpanView) => s.key

export default function Agent({ space, id }: { space: string; id: string }) {
  const { agent, problem, missing, retry } = useAgent(space, id)
  const t = useParam('t')
  const picked = useParam('span')
  const limits = useMemo(() => (parseWindow(t).kind === 'range' ? bounds(parseWindow(t), 0) : {}), [t])
  const spans = useSpans(space, id, limits, agent?.last ?? 0)
  const win = useWindow(spans.spans)
  const [sort, setSort] = useState<Sort>({ by: 'start', desc: true })
  const rows = useMemo(() => sortSpans(spans.spans, sort.by, sort.desc), [spans.spans, sort])
  const tail = useTail(useMemo(() => ({ space, agent: id }), [space, id]))
  const older = useLoad((signal) => get<Page<EventShape>>('/v1/events' + query({ space, agent: id, order: 'desc', limit: 300 }), signal).then((p) => (p.items ?? []).map(event)), [space, id, tail.begun])
  useEffect(() => {
    if (older.data) tail.seed(older.data)
  }, [older.data, tail.seed])
  const [shown, setShown] = useState<EventView | null>(null)
  const marks = useMemo(() => lanes(spans.spans, tail.rows, win.to), [spans.spans, tail.rows, win.to])
  const known = useMemo(() => spans.spans.find((s) => s.span === picked), [spans.spans, picked])
  const closeEvent = useCallback(() => setShown(null), [])
  useEffect(() => {
    document.title = `${line(agent?.title ?? id, 60)} · eyrie`
  }, [agent?.title, id])

  if (missing && !agent) return <div className="page"><Empty title="There is no such agent">In space “{line(space, 60)}” nobody is called “{line(id, 120)}”. It may never have sent an event, or its history has passed retention.</Empty></div>
  if (!agent) return <div className="page">{problem ? <Failed what="The agent could not be read." why={problem} retry={retry} /> : <Loading what="the agent" />}</div>
  return (
    <div className="page agent">
      <Header agent={agent} />
      <Tiles agent={agent} spans={spans.spans} />
      <Charts space={space} agent={id} from={win.from} to={win.to} onZoom={zoom} onReset={reset} />
      <section className="panel" aria-label="Timeline">
        <header>
          <h2>Timeline</h2><span className="grow" />
          <span className="dim small wide">drag to zoom, double click goes back, Shift + wheel</span>
          {parseWindow(t).kind === 'range' ? <button type="button" onClick={reset}>Whole window</button> : null}
        </header>
        <Timeline lanes={marks} from={win.from} to={win.to} selected={picked} onZoom={zoom} onReset={reset} onOpen={(m) => (m.span ? openSpan(m.span) : setShown(m.event))} />
      </section>
      <div className={picked ? 'with-details' : undefined}>
        <div className="grow">
          {spans.problem ? <Failed what="The spans could not be read." why={spans.problem} /> : null}
          <Table
            boxed id="spans" label={`${count(rows.length)} spans${spans.total > rows.length ? ` of ${count(spans.total)}` : ''}`} columns={spanColumns} rows={rows} rowKey={rowKey} sort={sort} onSort={setSort}
            onOpen={openSpan} {...(picked ? { selectedKey: agentKey(space, picked) } : {})}
            empty={spans.loaded ? <Empty title="No spans here">Nothing that starts and ends was told in this window.</Empty> : <Loading what="spans" />}
          />
        </div>
        {picked ? <SpanDetails space={space} span={picked} known={known} onClose={closeSpan} /> : null}
      </div>
      <div className={shown ? 'with-details' : undefined}>
        <section className="panel grow" aria-label="Live events">
          <header><h2>Events</h2><span className="dim">{tail.held ? 'held' : 'live'}</span>{tail.problem ? <span className="s-failed">{line(tail.problem, 160)}</span> : null}</header>
          {tail.rows.length === 0 ? <Empty title="No events yet">They appear here the moment they are durable.</Empty> : (
            <TailList rows={tail.rows} waiting={tail.waiting} held={tail.held} gap={tail.gap} dropped={tail.dropped} setAway={tail.setAway} onPick={setShown} picked={shown?.offset ?? -1} />
          )}
        </section>
        {shown ? <EventDetails event={shown} onClose={closeEvent} /> : null}
      </div>
    </div>
  )
}
