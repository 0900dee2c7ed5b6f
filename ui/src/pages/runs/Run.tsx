import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { Link } from '../../app/Link'
import { useKeys } from '../../app/keys'
import { agentPath, setParams, to, useParam } from '../../app/router'
import { bounded, clock as clockText, cost, count, duration, line } from '../../model/format'
import type { SpanView } from '../../model/view'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { Shape, Status } from '../../parts/State'
import { Id, Line, Moment } from '../../parts/Text'
import { reveal, useVirtual } from '../../parts/useVirtual'
import { clock } from '../../store/clock'
import { SpanDetails } from '../agent/Details'
import { extent } from '../agent/lanes'
import { tickStep } from '../agent/Timeline'
import { isBad, rows as rowsOf, tree } from './tree'
import type { WaterRow } from './tree'
import { useRun } from './useRun'

const rowHeight = 24
const headHeight = 30
const closeSpan = () => setParams({ span: '' })

type View = { from: number; to: number }

function Axis({ view, origin, onZoom, onReset }: { view: View; origin: number; onZoom: (v: View) => void; onReset: () => void }) {
  const drag = useRef<number | null>(null)
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(700)
  useEffect(() => {
    const el = box.current
    if (!el) return
    const sizes = new ResizeObserver(() => setWidth(el.clientWidth))
    sizes.observe(el)
    return () => sizes.disconnect()
  }, [])
  const ms = view.to - view.from
  const step = tickStep(ms, width, 96)
  const ticks: number[] = []
  for (let t = origin + Math.ceil((view.from - origin) / step) * step; t < view.to - (ms / width) * 60; t += step) ticks.push(t)
  const at = (e: React.PointerEvent) => {
    const r = e.currentTarget.getBoundingClientRect()
    return view.from + ((e.clientX - r.left) / r.width) * ms
  }
  return (
    <div className="axis">
      <span />
      <div
        ref={box} className="ticks" title="Drag to zoom, double click goes back"
        onPointerDown={(e) => { drag.current = at(e); e.currentTarget.setPointerCapture(e.pointerId) }}
        onPointerUp={(e) => {
          const a = drag.current
          const b = at(e)
          drag.current = null
          if (a !== null && Math.abs(a - b) > ms / 200) onZoom({ from: Math.min(a, b), to: Math.max(a, b) })
        }}
        onDoubleClick={onReset}
      >
        {ticks.map((t) => <span key={t} style={{ left: `${((t - view.from) / ms) * 100}%` }} title={clockText(t)}>{t === origin ? '0' : duration(t - origin)}</span>)}
      </div>
      <span />
    </div>
  )
}

function Row({ row, top, view, now, selected, onFold }: { row: WaterRow; top: number; view: View; now: number; selected: boolean; onFold: (id: string) => void }) {
  const s = row.span
  const ms = view.to - view.from
  const end = s.open ? Math.max(now, s.start) : Math.max(s.end, s.start)
  const a = Math.max(-1, Math.min(101, ((s.start - view.from) / ms) * 100))
  const b = Math.max(-1, Math.min(101, ((end - view.from) / ms) * 100))
  const faded = s.status === 'denied' || s.status === 'cancelled' || s.status === 'interrupted'
  return (
    <div className="wrow" role="row" aria-selected={selected} aria-level={row.depth + 1} style={{ top }} onClick={() => setParams({ span: s.span })}>
      <span className="name" role="cell" style={{ paddingLeft: 8 + Math.min(row.depth, 12) * 12 }}>
        {row.children > 0 ? (
          <button type="button" aria-label={row.folded ? 'Unfold' : 'Fold'} aria-expanded={!row.folded} onClick={(e) => { e.stopPropagation(); onFold(s.span) }}>{row.folded ? '▸' : '▾'}</button>
        ) : <span className="twig" />}
        {isBad(s) ? <Shape show="failed" /> : s.open ? <Shape show="running" /> : null}
        <bdi className="cut" title={line(`${s.type} ${s.name} ${s.msg}`, 400)}>{line(s.name || s.type, 80)}{s.msg && s.msg !== s.name ? <span className="faint"> {line(s.msg, 120)}</span> : null}</bdi>
        {row.failedInside && !isBad(s) ? <span className="error-inside small nowrap" title="Something below this failed">▪ inside</span> : null}
      </span>
      <span className="track" role="cell">
        <span className={`bar ${s.type}${isBad(s) ? ' bad' : ''}${faded ? ' faded' : ''}${s.open ? ' open' : ''}`} style={{ left: `${a}%`, width: `${Math.max(0, b - a)}%` }} />
      </span>
      <span className="took" role="cell">{s.open ? 'open' : s.noStart ? '–' : duration(s.dur)}</span>
    </div>
  )
}

export default function Run({ space, id }: { space: string; id: string }) {
  const { run, spans, total, problem, missing, loaded, retry } = useRun(space, id)
  const picked = useParam('span')
  const now = useStore(clock, (c) => (run?.open || spans.some((s) => s.open) ? c.now : 0)) || Math.max(run?.end ?? 0, run?.start ?? 0)
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set())
  const [zoom, setZoom] = useState<View | null>(null)
  const grown = useMemo(() => tree(spans), [spans])
  const list = useMemo(() => rowsOf(grown, folded), [grown, folded])
  const body = useRef<HTMLDivElement>(null)
  const { from, to: until } = useVirtual(body, rowHeight, list.length)
  const whole = useMemo(() => extent(spans, now) ?? { from: run?.start ?? 0, to: (run?.start ?? 0) + 1000 }, [spans, now, run])
  const view = zoom ?? whole
  const origin = run?.start || whole.from
  const at = list.findIndex((r) => r.span.span === picked)
  const errors = useMemo(() => spans.filter(isBad).length, [spans])
  const fold = useCallback((span: string) => setFolded((old) => {
    const next = new Set(old)
    if (!next.delete(span)) next.add(span)
    return next
  }), [])
  useEffect(() => {
    document.title = `${line(run?.name || id, 60)} · eyrie`
  }, [run?.name, id])
  useEffect(() => {
    if (at >= 0) reveal(body.current, rowHeight, at, headHeight)
  }, [picked, at >= 0])

  const pick = (i: number) => {
    const row = list[Math.max(0, Math.min(list.length - 1, i))]
    if (row) setParams({ span: row.span.span })
  }
  const nextError = () => {
    for (let k = 1; k <= list.length; k++) {
      const i = (at + k + list.length) % list.length
      if (list[i] && isBad(list[i].span)) return pick(i)
    }
  }
  const current: SpanView | undefined = list[at]?.span
  useKeys({
    j: () => pick(at + 1), k: () => pick(at - 1), ArrowDown: () => pick(at + 1), ArrowUp: () => pick(at - 1), e: nextError,
    ArrowLeft: () => { if (current && !folded.has(current.span)) fold(current.span) },
    ArrowRight: () => { if (current && folded.has(current.span)) fold(current.span) },
  })

  if (missing && !run && spans.length === 0) return <div className="page"><Empty title="There is no such run">It may never have been, or its history has passed retention.</Empty></div>
  if (!run && spans.length === 0) return <div className="page">{problem ? <Failed what="The run could not be read." why={problem} retry={retry} /> : <Loading what="the run" />}</div>
  const u = run?.usage
  return (
    <div className="page">
      <header className="panel run-head">
        <div className="rowflow">
          <h1 className="cut"><Line text={run?.name || run?.msg || id} max={160} className="" /></h1>
          <span className="dim"><Id id={id} /></span>
          {run ? <Status status={run.status} /> : null}
        </div>
        <p className="facts-line dim">
          {run ? <span>began <Moment at={run.start} /></span> : null}
          {run ? <span>{run.open ? `open for ${duration(Math.max(0, now - run.start))}` : `took ${duration(run.dur)}`}</span> : null}
          {run?.agent ? <span>by <Link to={to(agentPath(space, run.agent))}><Id id={run.agent} /></Link></span> : null}
          {run ? <span>{count(run.agents)} {run.agents === 1 ? 'agent' : 'agents'}</span> : null}
          <span>{count(Math.max(run?.spans ?? 0, total))} spans</span>
          {run ? <span>{count(run.tools)} tool calls</span> : null}
          <span className={errors ? 's-failed' : ''}>{count(run?.errors || errors)} errors</span>
          {u ? <span>{bounded(count(u.tokens), u.quality)} tokens</span> : null}
          {u ? <span>{cost(u.cost, u.quality, u.tokens)}</span> : null}
        </p>
        {run?.error ? <p className="verdict"><span className="mono">{line(run.error.code, 40)}</span> <Line text={run.error.msg} max={400} className="" /></p> : null}
      </header>
      {problem ? <Failed what="Not all of the run could be read." why={problem} retry={retry} /> : null}
      <div className={picked ? 'with-details' : undefined}>
        <section className="panel grow" aria-label="Waterfall">
          <header>
            <h2>Waterfall</h2>
            <span className="legend-types dim small">{(['task', 'llm', 'tool', 'ask'] as const).map((k) => <span key={k}><i className={`swatch ${k}`} />{k}</span>)}<span><i className="swatch bad" />failed</span></span>
            <span className="grow" />
            {zoom ? <button type="button" onClick={() => setZoom(null)}>Whole run</button> : null}
            <button type="button" disabled={errors === 0} onClick={nextError}>Next error <kbd>e</kbd></button>
          </header>
          <Axis view={view} origin={origin} onZoom={setZoom} onReset={() => setZoom(null)} />
          <div className="waterfall" ref={body} role="treegrid" aria-label="Spans of the run" aria-rowcount={list.length} style={{ height: list.length * rowHeight }}>
            {list.slice(from, until).map((row, i) => (
              <Row key={row.span.key} row={row} top={(from + i) * rowHeight} view={view} now={now} selected={from + i === at} onFold={fold} />
            ))}
          </div>
          {list.length === 0 ? (loaded ? <Empty title="No spans">The run is known, what happened in it was not told.</Empty> : <Loading what="spans" />) : null}
          {loaded && total > spans.length ? <p className="dim small quiet-line">The first {count(spans.length)} of {count(total)} spans are drawn.</p> : null}
        </section>
        {picked ? <SpanDetails space={space} span={picked} known={current} onClose={closeSpan} /> : null}
      </div>
    </div>
  )
}
