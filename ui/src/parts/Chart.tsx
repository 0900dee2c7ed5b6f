// A line chart over time. The uPlot instance outlives renders; new data goes into it.
// Where nothing was sent the chart is hatched, so that silence does not read as zero.
import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { bytes, clock as clockText, count, duration, moment } from '../model/format'
import type { RangeView } from '../model/view'
import { cursor, pointAt } from '../store/cursor'
import { Line } from './Text'

const lineColours = ['--accent', '--running', '--waiting', '--silent', '--failed', '--stuck']
export const colourOf = (i: number) => lineColours[i % lineColours.length] ?? '--accent'

/** Values as their unit is read. */
export function inUnit(v: number, unit: string): string {
  if (unit === 'By' || unit === 'B' || unit === 'bytes') return bytes(Math.round(v))
  if (unit === 'ms') return duration(v)
  if (unit === 's') return duration(v * 1000)
  const text = count(Math.abs(v) >= 100 ? Math.round(v) : Number(v.toPrecision(3)))
  if (unit.startsWith('1/')) return text + unit.slice(1)
  return unit === '' || unit === '1' || unit.startsWith('{') ? text : `${text}\u00a0${unit}`
}

/** On an axis a long unit would leave no room for the figure. */
const onAxis = (v: number, unit: string) => inUnit(v, unit.length > 2 ? '' : unit)

/** null breaks the line; undefined is another series' instant and does not. */
type Value = number | null | undefined
export type Joined = { x: number[]; y: Value[][]; lo: Value[]; hi: Value[]; gaps: [number, number][] }

// A series is silent when it misses more than these many of its own usual intervals.
const silentIntervals = 6

/** The distance that nine in ten samples keep; what comes seldom or in bursts is not silent in between. */
function interval(times: readonly number[]): number {
  const gaps = times.slice(1).map((t, i) => t - (times[i] ?? t)).toSorted((a, b) => a - b)
  return gaps[Math.floor((gaps.length - 1) * 0.9)] ?? 0
}

/** Puts all series on one time axis (s), with nulls and gaps where samples are missing. */
export function join(series: readonly RangeView[], step: number, from: number, to: number): Joined {
  const times = [...new Set(series.flatMap((s) => s.t))].toSorted((a, b) => a - b)
  const usual = Math.max(0, ...series.map((s) => interval(s.t)))
  const limit = Math.max(Math.max(step, 1) * 2.5, usual * (usual > step * 1.5 ? silentIntervals : 1))
  const x: number[] = []
  const gaps: [number, number][] = []
  const holes = new Set<number>()
  let last = from
  for (const t of times) {
    if (t - last > limit) {
      gaps.push([last, t])
      if (x.length) {
        x.push(last + step)
        holes.add(last + step)
      }
    }
    x.push(t)
    last = t
  }
  if (to - last > limit) gaps.push([last, to])
  const column = (s: RangeView, values: (number | null)[]) => {
    const at = new Map(s.t.map((t, i) => [t, values[i] ?? null]))
    return x.map((t) => (holes.has(t) ? null : at.get(t)))
  }
  const only = series.length === 1 ? series[0] : undefined
  return { x: x.map((t) => t / 1000), y: series.map((s) => column(s, s.avg)), lo: only ? column(only, only.min) : [], hi: only ? column(only, only.max) : [], gaps }
}

function hatch(u: uPlot, gaps: readonly [number, number][], colour: string): void {
  const { ctx, bbox } = u
  ctx.save()
  ctx.strokeStyle = colour
  ctx.lineWidth = devicePixelRatio
  for (const [a, b] of gaps) {
    const x0 = Math.max(bbox.left, u.valToPos(a / 1000, 'x', true))
    const x1 = Math.min(bbox.left + bbox.width, u.valToPos(b / 1000, 'x', true))
    if (x1 - x0 < 2) continue
    ctx.save()
    ctx.beginPath()
    ctx.rect(x0, bbox.top, x1 - x0, bbox.height)
    ctx.clip()
    ctx.beginPath()
    for (let x = x0 - bbox.height; x < x1; x += 8 * devicePixelRatio) {
      ctx.moveTo(x, bbox.top + bbox.height)
      ctx.lineTo(x + bbox.height, bbox.top)
    }
    ctx.stroke()
    ctx.restore()
  }
  ctx.restore()
}

type Props = {
  title: string
  unit: string
  series: readonly RangeView[]
  step: number
  from: number
  to: number
  onZoom: (from: number, to: number) => void
  onReset: () => void
}

const height = 132
const pointsBelow = 60 // fewer samples than this are dots, too

export function Chart({ title, unit, series, step, from, to, onZoom, onReset }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const data = useMemo(() => join(series, step, from, to), [series, step, from, to])
  const joined = useRef<Joined>(data)
  joined.current = data
  const bounds = useRef({ from, to })
  const call = useRef({ onZoom, onReset })
  call.current = { onZoom, onReset }
  bounds.current = { from, to }
  const [alone, setAlone] = useState(-1)
  const [at, setAt] = useState<number | null>(null)
  const names = series.map((s) => s.name).join('\n')

  useEffect(() => {
    const el = box.current
    if (!el) return
    const id = title + names
    const make = () => {
      plot.current?.destroy()
      const style = getComputedStyle(document.documentElement)
      const v = (name: string) => style.getPropertyValue(name)
      const axis = { stroke: v('--dim'), font: `11px ${v('--font')}`, grid: { stroke: v('--line'), width: 1 }, ticks: { show: false } }
      const band = series.length === 1
      const lines: uPlot.Series[] = series.map((_, i) => ({ stroke: v(colourOf(i)), width: 1.5, points: { show: () => joined.current.x.length < pointsBelow, size: 5 }, spanGaps: false }))
      const edges: uPlot.Series[] = band ? [{ stroke: 'transparent', points: { show: false } }, { stroke: 'transparent', points: { show: false } }] : []
      plot.current = new uPlot({
        width: Math.max(120, el.clientWidth), height,
        legend: { show: false },
        padding: [8, 24, 0, 0],
        scales: { x: { time: true, range: () => [bounds.current.from / 1000, bounds.current.to / 1000] }, y: { range: (_u, lo, hi) => [Math.min(0, lo ?? 0), hi > 0 ? hi * 1.08 : 1] } },
        axes: [
          { ...axis, size: 24, space: 72, values: (_u, ticks) => ticks.map((t) => (bounds.current.to - bounds.current.from > 2 * 86_400e3 ? moment(t * 1000, 0) : clockText(t * 1000, false).slice(0, bounds.current.to - bounds.current.from < 20 * 60e3 ? 8 : 5))) },
          { ...axis, size: 64, space: 32, values: (_u, ticks) => ticks.map((t) => onAxis(t, unit)) },
        ],
        series: [{}, ...lines, ...edges],
        bands: band ? [{ series: [3, 2], fill: v('--accent') + '26' }] : [],
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, y: false, bind: { dblclick: () => () => { call.current.onReset(); return null } } },
        hooks: {
          drawClear: [(u) => hatch(u, joined.current.gaps, v('--line-strong'))],
          setSelect: [(u) => {
            if (u.select.width > 4) call.current.onZoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000)
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          }],
          setCursor: [(u) => {
            const { left, idx } = u.cursor
            setAt(idx ?? null)
            if (cursor.getState().by !== id && (left ?? -1) < 0) return
            if (u.root.matches(':hover')) pointAt((left ?? -1) >= 0 ? u.posToVal(left ?? 0, 'x') * 1000 : 0, id)
          }],
        },
      }, [[]], el)
      fill()
    }
    const fill = () => {
      const j = joined.current
      plot.current?.setData([j.x, ...j.y, ...(j.y.length === 1 ? [j.lo, j.hi] : [])] as uPlot.AlignedData)
    }
    make()
    const stop = cursor.subscribe((c) => {
      const u = plot.current
      if (!u || c.by === id) return
      const left = c.at ? u.valToPos(c.at / 1000, 'x') : -10
      u.setCursor({ left: left >= 0 && left <= u.over.clientWidth ? left : -10, top: 10 })
    })
    const theme = new MutationObserver(make)
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(120, el.clientWidth), height }))
    sizes.observe(el)
    return () => {
      stop()
      theme.disconnect()
      sizes.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [title, names, unit])

  useEffect(() => {
    plot.current?.setData([data.x, ...data.y, ...(data.y.length === 1 ? [data.lo, data.hi] : [])] as uPlot.AlignedData)
  }, [data, names])

  useEffect(() => {
    for (let i = 0; i < series.length; i++) plot.current?.setSeries(i + 1, { show: alone < 0 || alone === i })
  }, [alone, names, series.length])

  const shown = (i: number): string => {
    const values = data.y[i] ?? []
    const v = at === null ? values.findLast((x) => typeof x === 'number') : values[at]
    return v === null || v === undefined ? 'no data' : inUnit(v, unit)
  }
  return (
    <figure className="panel chart">
      <figcaption>
        <Line text={title} max={60} className="cut title" />
        {series.length > 1 ? <span className="faint small">{unit === '1' ? '' : unit}</span> : <strong>{shown(0)}</strong>}
      </figcaption>
      <div ref={box} className="plot" />
      {series.length > 1 ? (
        <ul className="legend">
          {series.map((s, i) => (
            <li key={s.name}>
              <button type="button" className="quiet" aria-pressed={alone === i} onClick={() => setAlone(alone === i ? -1 : i)} title="Show this one alone">
                <svg width="10" height="10" aria-hidden="true"><rect width="10" height="3" y="4" style={{ fill: `var(${colourOf(i)})` }} /></svg>
                <Line text={s.labels.map(([, v]) => v).join(' ') || s.name} max={32} className="" /> <span className="dim">{shown(i)}</span>
              </button>
            </li>
          ))}
        </ul>
      ) : null}
    </figure>
  )
}
