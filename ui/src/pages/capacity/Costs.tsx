import type { CapacityView } from '../../model/capacity'
import { Shape } from '../../parts/State'
import type { Show } from '../../model/view'

const bys: Record<string, { word: string; show: Show }> = {
  live: { word: 'measured here', show: 'running' },
  bench: { word: 'by bench', show: 'running' },
  recorded: { word: 'recorded', show: 'idle' },
  none: { word: 'not measured', show: 'unknown' },
}

/** Each cost with where it is from: what a plan rests on. */
export function Costs({ view: v }: { view: CapacityView }) {
  return (
    <section className="panel">
      <header><h2>What it rests on</h2><span className="dim">each cost, and how it came to be known</span></header>
      <p className="capacity-note first dim">Costs {v.costsSay}</p>
      <ul className="costs">
        {v.costs.map((c) => {
          const by = bys[c.by] ?? { word: c.by, show: 'unknown' as const }
          return (
            <li key={c.name}>
              <span className="cost-name">{c.title}</span>
              <strong className="num">{c.value}</strong>
              <span className="state"><Shape show={by.show} /><span>{by.word}</span></span>
              <span className="dim small cost-says">{c.says}</span>
            </li>
          )
        })}
      </ul>
      {v.says.map((s) => <p key={s} className="capacity-note dim">{s}</p>)}
    </section>
  )
}
