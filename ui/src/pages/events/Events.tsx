import { useCallback, useEffect, useMemo, useState } from 'react'
import { get, query } from '../../api/http'
import type { Filter } from '../../api/live'
import type { EventShape, Page } from '../../api/shape'
import { Link } from '../../app/Link'
import { agentPath, setParams, to, useParam } from '../../app/router'
import { bounds, parseWindow } from '../../app/window'
import { clock as clockText, count, exact, line, moment } from '../../model/format'
import { event } from '../../model/map'
import { fieldOf, withField } from '../../model/terms'
import type { EventView, Show } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Shape } from '../../parts/State'
import { Table } from '../../parts/Table'
import type { Column } from '../../parts/Table'
import { useTail } from '../../parts/Tail'
import { Id } from '../../parts/Text'
import { now } from '../../store/clock'
import { EventDetails } from '../agent/Details'

const severityShow: Record<string, Show> = { error: 'failed', fatal: 'failed', warn: 'stuck', debug: 'ended' }

const columns: Column<EventView>[] = [
  { id: 'at', title: 'Time', width: 148, cell: (e) => <time title={exact(e.at)}>{Date.now() - e.at < 86_400e3 ? clockText(e.at) : moment(e.at, 0)}</time>, text: (e) => exact(e.at), value: (e) => e.at },
  { id: 'severity', title: 'Severity', width: 84, from: 640, cell: (e) => <span className="state">{severityShow[e.severity] ? <Shape show={severityShow[e.severity] as Show} /> : <span className="shape" />}<span className={e.severity === 'info' || e.severity === 'debug' ? 'dim' : ''}>{e.severity}</span></span>, text: (e) => e.severity },
  { id: 'type', title: 'Type', width: 112, cell: (e) => <span>{line(e.type, 24)}{e.phase && e.phase !== 'whole' ? <span className="faint"> {line(e.phase, 12)}</span> : null}</span>, text: (e) => `${e.type} ${e.phase}` },
  { id: 'agent', title: 'Agent', width: 128, from: 480, cell: (e) => (e.agent ? <Link to={to(agentPath(e.space, e.agent))}><Id id={e.agent} /></Link> : null), text: (e) => e.agent },
  { id: 'summary', title: 'What', width: 0, cell: (e) => <bdi title={line(e.summary, 1000)}>{line(e.summary, 300)}</bdi>, text: (e) => e.summary },
  { id: 'status', title: 'Status', width: 92, from: 900, cell: (e) => <span className={e.status === 'error' ? 's-failed' : 'dim'}>{line(e.status, 20)}</span>, text: (e) => e.status },
  { id: 'offset', title: 'Offset', width: 92, num: true, from: 1000, cell: (e) => <span className="mono dim">{e.offset}</span>, text: (e) => String(e.offset), value: (e) => e.offset },
  { id: 'space', title: 'Space', width: 92, off: true, cell: (e) => line(e.space, 40), text: (e) => e.space },
  { id: 'run', title: 'Run', width: 112, off: true, cell: (e) => <Id id={e.run} />, text: (e) => e.run },
]

const pageSize = 300
const contextAbove = 100 // offsets above the newest marked event
const shortcuts = ['run', 'task', 'llm', 'tool', 'ask', 'message', 'state', 'metrics', 'log']
const eventTypes = new Set([...shortcuts, 'span', 'agent', 'note', 'board'])

/** What of the query the log has an index for; the query itself goes along. */
function indexed(q: string): { type?: string; space?: string; agent?: string } {
  const type = fieldOf(q, 'type')
  const space = fieldOf(q, 'space')
  const agent = fieldOf(q, 'agent')
  return { ...(eventTypes.has(type) ? { type } : {}), ...(space && agent ? { space, agent } : {}) }
}

type Older = { rows: EventView[]; next: string; problem: string; loaded: boolean }

export default function Events() {
  const q = useParam('q')
  const t = useParam('t')
  const mark = useParam('mark')
  const [shown, setShown] = useState<EventView | null>(null)
  const [older, setOlder] = useState<Older>({ rows: [], next: '', problem: '', loaded: false })
  const type = fieldOf(q, 'type')
  const marks = useMemo(() => mark.split(',').map(Number).filter((n) => n > 0), [mark])
  const fixed = marks.length > 0 || parseWindow(t).kind === 'range'

  const load = useCallback(async (after: string, signal?: AbortSignal) => {
    try {
      const { from, to: until } = bounds(parseWindow(t), now())
      const page = await get<Page<EventShape>>('/v1/events' + query({ q, ...indexed(q), from_ms: from, to_ms: until, order: 'desc', limit: pageSize, after: after || (marks.length ? Math.max(...marks) + contextAbove : '') }), signal)
      const rows = (page.items ?? []).map(event)
      setOlder((s) => ({ rows: after ? [...s.rows, ...rows] : rows, next: page.next ?? '', problem: '', loaded: true }))
    } catch (e) {
      if (!signal?.aborted) setOlder((s) => ({ ...s, next: '', problem: e instanceof Error ? e.message : String(e), loaded: true }))
    }
  }, [q, t, marks])
  useEffect(() => {
    document.title = 'Events · eyrie'
  }, [])

  const filter = useMemo<Filter>(() => (q ? { q } : {}), [q])
  const tail = useTail(filter, !fixed)
  const { begun } = tail
  useEffect(() => {
    const stop = new AbortController()
    void load('', stop.signal)
    return () => stop.abort()
  }, [load, begun])

  const rows = useMemo(() => {
    const newest = older.rows[0]?.offset ?? -1
    const fresh = fixed ? [] : tail.rows.filter((e) => e.offset > newest)
    return [...fresh, ...older.rows]
  }, [tail.rows, older.rows, fixed])
  const marked = useCallback((e: EventView) => marks.includes(e.offset), [marks])
  const more = useCallback(() => {
    if (older.next) void load(older.next)
  }, [load, older.next])
  const close = useCallback(() => setShown(null), [])

  // Reading further down holds the tail, so that rows do not move under the eye.
  const { setAway } = tail
  useEffect(() => {
    const main = document.getElementById('main')
    if (!main) return
    const onScroll = () => setAway(main.scrollTop > 60)
    main.addEventListener('scroll', onScroll, { passive: true })
    return () => main.removeEventListener('scroll', onScroll)
  }, [setAway])

  const tools = (
    <>
      <span className="typechips">
        {shortcuts.map((s) => <button key={s} type="button" className="quiet" aria-pressed={type === s} onClick={() => setParams({ q: withField(q, 'type', type === s ? '' : s) }, false)}>{s}</button>)}
      </span>
      {fixed ? <span className="dim">{marks.length > 0 ? `${marks.length} marked as evidence` : 'a fixed window'}{marks.length > 0 ? <button type="button" className="quiet" onClick={() => setParams({ mark: '' }, false)}>Back to live</button> : null}</span> : <span className="dim">{tail.held ? 'held' : 'live'}</span>}
      {tail.gap ? <span className="s-stuck">a gap: {line(tail.gap, 80)}</span> : null}
      {tail.problem ? <span className="s-failed">{line(tail.problem, 160)}</span> : null}
    </>
  )
  return (
    <div className="page">
      <h1 className="hidden">Events</h1>
      {older.problem ? <Failed what="The events could not be read." why={older.problem} retry={() => void load('')} /> : null}
      {tail.held && tail.waiting > 0 ? (
        <div className="floating"><button type="button" className="main" onClick={() => { document.getElementById('main')?.scrollTo(0, 0); setAway(false) }}>{count(tail.waiting)} new</button></div>
      ) : null}
      <div className={shown ? 'with-details' : undefined}>
        <div className="grow">
          <Table
            id="events" label="Events" columns={columns} rows={rows} rowKey={(e) => String(e.offset)} onOpen={setShown} onEnd={more} marked={marked} tools={tools}
            {...(shown ? { selectedKey: String(shown.offset) } : {})}
            empty={!older.loaded ? <Loading what="events" /> : q || t ? <Empty title="No event matches">Take away a part of the query, or choose a longer window of time.</Empty> : <Empty title="No events yet">They appear here the moment they are durable. <Link to={to('/setup')}>Connect</Link> an agent to see the first.</Empty>}
          />
        </div>
        {shown ? <EventDetails event={shown} onClose={close} /> : null}
      </div>
    </div>
  )
}
