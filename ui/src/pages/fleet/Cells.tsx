import { useEffect, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { agentPath, go, setParams, to, useParam } from '../../app/router'
import { cost } from '../../model/format'
import { withField } from '../../model/terms'
import type { AgentView } from '../../model/view'
import { State } from '../../parts/State'
import { Ago, Id, Line } from '../../parts/Text'
import { fleet } from '../../store/app'
import { prefs } from '../../store/prefs'
import { Board, group, groupings } from './board'
import type { GroupBy } from './board'

type Card = { agent: AgentView; x: number; y: number }

const largeFleet = 5000

function HoverCard({ card }: { card: Card }) {
  const a = card.agent
  const right = card.x > innerWidth - 340
  const low = card.y > innerHeight - 200
  return (
    <div
      className="hovercard" role="tooltip"
      style={{ left: right ? undefined : card.x + 14, right: right ? innerWidth - card.x + 14 : undefined, top: low ? undefined : card.y + 14, bottom: low ? innerHeight - card.y + 14 : undefined }}
    >
      <div className="rowflow"><State show={a.show} /><Line text={a.title} className="cut grow" /></div>
      {a.verdict ? <p><Line text={a.verdict.reason} className="" /></p> : null}
      {a.ask ? <p>asks: <Line text={a.ask.msg || a.ask.name} className="" max={160} /></p> : null}
      {a.task ? <p><span className="dim">task </span><Line text={a.task.name} className="" max={120} /></p> : null}
      <p className="dim small">
        {a.named ? <><Id id={a.id} /><span className="sep" /></> : null}
        {a.role ? <><Line text={a.role} max={40} className="" /><span className="sep" /></> : null}
        {a.host ? <><Line text={a.host} max={40} className="" /><span className="sep" /></> : null}
        last event <Ago at={a.last} /><span className="sep" />{cost(a.usage.cost, a.usage.quality, a.usage.tokens)}
      </p>
    </div>
  )
}

export function Cells() {
  const by = useStore(prefs, (p) => (groupings.includes(p.groupBy as GroupBy) ? p.groupBy : 'manager')) as GroupBy
  const members = useStore(fleet.store, (s) => s.members)
  const q = useParam('q')
  const canvas = useRef<HTMLCanvasElement>(null)
  const box = useRef<HTMLDivElement>(null)
  const board = useRef<Board | null>(null)
  const [card, setCard] = useState<Card | null>(null)

  useEffect(() => {
    const el = canvas.current
    const around = box.current
    if (!el || !around) return
    const b = new Board(el)
    board.current = b
    let waiting = 0
    const lay = () => {
      waiting = 0
      const width = Math.max(1, Math.floor(around.clientWidth))
      const height = b.lay(group(fleet.rows.values(), by), width, Math.max(120, Math.round(innerHeight * 0.4)))
      el.style.width = `${width}px`
      el.style.height = `${height}px`
    }
    let known = fleet.store.getState().members
    lay()
    const relay = () => {
      if (waiting) return
      if (fleet.rows.size < largeFleet) lay()
      else waiting = window.setTimeout(lay, 500)
    }
    const stop = fleet.store.subscribe((s) => {
      // Groups by state move with every change of state.
      if (s.members !== known || (by === 'state' && fleet.changed.size > 0)) {
        known = s.members
        relay()
      } else b.update(fleet.changed, fleet.rows)
    })
    let width = around.clientWidth
    const sizes = new ResizeObserver(() => {
      if (around.clientWidth === width) return
      width = around.clientWidth
      lay()
    })
    sizes.observe(around)
    const theme = new MutationObserver(() => b.paint())
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    return () => {
      stop()
      sizes.disconnect()
      theme.disconnect()
      clearTimeout(waiting)
    }
  }, [by])

  const under = (e: React.MouseEvent) => {
    const rect = canvas.current?.getBoundingClientRect()
    return rect ? board.current?.hit(e.clientX - rect.left, e.clientY - rect.top) : null
  }
  const agentUnder = (e: React.MouseEvent) => {
    const h = under(e)
    const key = h && h.cell >= 0 ? board.current?.key(h.cell) : undefined
    return key ? fleet.rows.get(key) : undefined
  }

  return (
    <section className="panel" aria-label="Fleet as cells">
      <header>
        <h2>Agents</h2>
        <label className="rowflow"><span className="dim">by</span>
          <select value={by} onChange={(e) => prefs.setState({ groupBy: e.target.value })}>
            {groupings.map((g) => <option key={g}>{g}</option>)}
          </select>
        </label>
        <span className="grow" />
        <span className="dim small wide">a cell opens its agent, a name narrows the query</span>
      </header>
      <div className="cells" ref={box} tabIndex={-1}>
        <canvas
          ref={canvas} role="img" aria-label={`${fleet.rows.size} agents by ${by}; the table below lists them`} data-members={members}
          onPointerMove={(e) => {
            const a = e.pointerType === 'touch' ? undefined : agentUnder(e)
            setCard(a ? { agent: a, x: e.clientX, y: e.clientY } : null)
            if (canvas.current) canvas.current.style.cursor = a || (under(e)?.cell ?? 0) < 0 ? 'pointer' : 'default'
          }}
          onPointerLeave={() => setCard(null)}
          onClick={(e) => {
            const a = agentUnder(e)
            if (a) {
              go(to(agentPath(a.space, a.id)))
              return
            }
            const h = under(e)
            if (h && h.group.name) setParams({ q: withField(q, by, h.group.name) }, false)
          }}
        />
      </div>
      {card ? <HoverCard card={card} /> : null}
    </section>
  )
}
