// Swim lanes on a canvas: drag or wheel zooms, double click goes back, a click opens the span.
import { useEffect, useRef, useState } from 'react'
import { clock as clockText, duration, line } from '../../model/format'
import { cursor, pointAt } from '../../store/cursor'
import { laneNames } from './lanes'
import type { Lanes, Mark } from './lanes'

const left = 72
const rowHeight = 14
const lanePad = 5
const axisHeight = 20

const colours: Record<string, string> = { task: '--bar-task', run: '--bar-run', tool: '--bar-tool', llm: '--bar-llm', ask: '--bar-ask', span: '--bar-run', message: '--dim', error: '--failed' }

type Props = { lanes: Lanes; from: number; to: number; selected: string; onZoom: (from: number, to: number) => void; onReset: () => void; onOpen: (m: Mark) => void }

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 21600e3, 43200e3, 86400e3, 172800e3, 604800e3]
export const tickStep = (ms: number, px: number, room = 90) => steps.find((s) => (s / ms) * px >= room) ?? 604800e3 * 4

export function Timeline(p: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const latest = useRef(p)
  latest.current = p
  const paint = useRef(() => {})
  const drag = useRef<{ x0: number; x1: number } | null>(null)
  const [card, setCard] = useState<{ mark: Mark; x: number; y: number } | null>(null)
  const tops: Record<string, number> = {}
  let height = axisHeight
  for (const lane of laneNames) {
    tops[lane] = height
    height += p.lanes.rows[lane] * rowHeight + lanePad * 2
  }
  const geometry = useRef({ tops, height })
  geometry.current = { tops, height }

  useEffect(() => {
    const el = canvas.current
    const c = el?.getContext('2d')
    if (!el || !c) return
    const draw = () => {
      const { lanes, from, to, selected } = latest.current
      const g = geometry.current
      const ratio = devicePixelRatio
      const width = el.clientWidth
      if (el.width !== Math.round(width * ratio) || el.height !== Math.round(g.height * ratio)) {
        el.width = Math.round(width * ratio)
        el.height = Math.round(g.height * ratio)
      }
      const style = getComputedStyle(document.documentElement)
      const v = (name: string) => style.getPropertyValue(name)
      const x = (t: number) => left + ((t - from) / (to - from)) * (width - left)
      c.setTransform(ratio, 0, 0, ratio, 0, 0)
      c.clearRect(0, 0, width, g.height)
      c.font = `11px ${v('--font')}`
      c.textBaseline = 'middle'
      const step = tickStep(to - from, width - left)
      for (let t = Math.ceil(from / step) * step; t < to; t += step) {
        const at = Math.round(x(t)) + 0.5
        c.fillStyle = v('--line')
        c.fillRect(at, axisHeight, 1, g.height - axisHeight)
        c.fillStyle = v('--dim')
        c.fillText(step < 1000 ? clockText(t) : clockText(t, false), at + 3, axisHeight / 2)
      }
      for (const lane of laneNames) {
        const top = g.tops[lane] ?? 0
        c.fillStyle = v('--line')
        c.fillRect(0, top, width, 1)
        c.fillStyle = v('--dim')
        c.fillText(lane, 12, top + lanePad + rowHeight / 2 + 1)
      }
      c.save()
      c.beginPath()
      c.rect(left, 0, width - left, g.height)
      c.clip()
      const text = v('--accent-text')
      const strong = v('--text')
      for (const m of lanes.marks) {
        if (m.to < from || m.from > to) continue
        const y = (g.tops[m.lane] ?? 0) + lanePad + m.row * rowHeight
        const a = x(m.from)
        const w = Math.max(2, x(m.to) - a)
        const bad = m.status === 'error' || m.status === 'timeout'
        c.fillStyle = v(bad ? '--failed' : (colours[m.type] ?? '--dim'))
        if (m.from === m.to) {
          c.beginPath()
          if (m.lane === 'errors') c.rect(a - 4, y + 2, 8, 8)
          else c.arc(a, y + 6, 3, 0, 7)
          c.fill()
          continue
        }
        const faded = m.status === 'denied' || m.status === 'cancelled' || m.status === 'interrupted'
        c.globalAlpha = faded ? 0.45 : 1
        c.fillRect(a, y, w, rowHeight - 2)
        c.globalAlpha = 1
        if (m.open) {
          // An open end is torn.
          c.fillStyle = v('--surface')
          for (let i = 0; i < 3; i++) c.fillRect(a + w - 3 - i * 5, y, 2, rowHeight - 2)
        }
        if (w > 42) {
          c.save()
          c.beginPath()
          c.rect(Math.max(a, left), y, w - 3, rowHeight)
          c.clip()
          c.fillStyle = faded ? strong : text
          c.fillText(line(m.label, 60), Math.max(a, left) + 4, y + rowHeight / 2 - 0.5)
          c.restore()
        }
        if (m.span && m.span.span === selected) {
          c.strokeStyle = v('--text')
          c.lineWidth = 1.5
          c.strokeRect(a - 1, y - 1, w + 2, rowHeight)
        }
      }
      const at = cursor.getState().at
      if (at >= from && at <= to) {
        c.fillStyle = v('--dim')
        c.fillRect(Math.round(x(at)), axisHeight, 1, g.height)
      }
      if (drag.current) {
        c.fillStyle = v('--accent') + '33'
        c.fillRect(Math.min(drag.current.x0, drag.current.x1), axisHeight, Math.abs(drag.current.x1 - drag.current.x0), g.height)
      }
      c.restore()
    }
    let asked = 0
    paint.current = () => {
      if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw() })
    }
    draw()
    const stop = cursor.subscribe(paint.current)
    const sizes = new ResizeObserver(paint.current)
    sizes.observe(el)
    const theme = new MutationObserver(paint.current)
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    const wheel = (e: WheelEvent) => {
      if (!e.ctrlKey && !e.metaKey && !e.shiftKey) return // a plain wheel scrolls the page
      e.preventDefault()
      const { from, to, onZoom } = latest.current
      const rect = el.getBoundingClientRect()
      const share = Math.max(0, Math.min(1, (e.clientX - rect.left - left) / (rect.width - left)))
      const mid = from + share * (to - from)
      const k = (e.deltaY || e.deltaX) > 0 ? 1.25 : 0.8
      if ((to - from) * k > 10) onZoom(mid - (mid - from) * k, mid + (to - mid) * k)
    }
    el.addEventListener('wheel', wheel, { passive: false })
    return () => {
      stop()
      sizes.disconnect()
      theme.disconnect()
      el.removeEventListener('wheel', wheel)
      cancelAnimationFrame(asked)
    }
  }, [])
  useEffect(() => paint.current(), [p.lanes, p.from, p.to, p.selected])

  const place = (e: React.PointerEvent | React.MouseEvent) => {
    const rect = canvas.current?.getBoundingClientRect()
    const x = e.clientX - (rect?.left ?? 0)
    const width = rect?.width ?? 1
    const time = (px: number) => p.from + ((px - left) / (width - left)) * (p.to - p.from)
    return { x, y: e.clientY - (rect?.top ?? 0), at: time(x), time, slack: ((p.to - p.from) / (width - left)) * 4 }
  }
  const under = (e: React.PointerEvent | React.MouseEvent): Mark | undefined => {
    const { x, y, at, slack } = place(e)
    if (x < left) return undefined
    return p.lanes.marks.findLast((m) => {
      const top = (tops[m.lane] ?? 0) + lanePad + m.row * rowHeight
      return y >= top && y < top + rowHeight && at >= m.from - slack && at <= m.to + slack
    })
  }
  return (
    <div className="timeline">
      <canvas
        ref={canvas} style={{ height }} role="img" aria-label="Timeline of tasks, tools, model calls, messages and errors; the table of spans below holds the same"
        onPointerDown={(e) => {
          const { x } = place(e)
          if (e.button === 0 && x >= left && e.pointerType !== 'touch') {
            drag.current = { x0: x, x1: x }
            e.currentTarget.setPointerCapture(e.pointerId)
          }
        }}
        onPointerMove={(e) => {
          const { x, at } = place(e)
          if (drag.current) drag.current.x1 = Math.max(left, x)
          pointAt(x >= left ? at : 0, 'timeline')
          paint.current()
          const mark = drag.current && Math.abs(drag.current.x1 - drag.current.x0) > 4 ? undefined : under(e)
          setCard(mark ? { mark, x: e.clientX, y: e.clientY } : null)
        }}
        onPointerUp={(e) => {
          const d = drag.current
          drag.current = null
          paint.current()
          const { time } = place(e)
          if (d && Math.abs(d.x1 - d.x0) > 4) {
            p.onZoom(time(Math.min(d.x0, d.x1)), time(Math.max(d.x0, d.x1)))
            return
          }
          const mark = under(e)
          if (mark) p.onOpen(mark)
        }}
        onPointerLeave={() => { setCard(null); pointAt(0, 'timeline') }}
        onDoubleClick={p.onReset}
      />
      {card ? (
        <div className="hovercard" role="tooltip" style={{ left: Math.min(card.x + 14, innerWidth - 336), top: card.y + 16 > innerHeight - 110 ? card.y - 100 : card.y + 16 }}>
          <strong>{line(card.mark.label, 160)}</strong>
          <p className="dim small">{card.mark.type} {card.mark.status} · {clockText(card.mark.from)}{card.mark.to > card.mark.from ? ` · ${card.mark.open ? 'open for ' : ''}${duration(card.mark.to - card.mark.from)}` : ''}</p>
        </div>
      ) : null}
    </div>
  )
}
