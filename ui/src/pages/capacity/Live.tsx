import { amount, level } from '../../model/capacity'
import type { CapacityView, Gauge } from '../../model/capacity'
import { count, percent, rate } from '../../model/format'

const Fact = ({ word, children }: { word: string; children: React.ReactNode }) => <div><dt>{word}</dt><dd>{children}</dd></div>

export function LiveFacts({ view: v }: { view: CapacityView }) {
  if (!v.live) return <p className="dim">The first reading is there within ten seconds of the server’s start.</p>
  const l = v.live
  return (
    <dl className="capacity-facts">
      <Fact word="events">{rate(l.events, 's')}</Fact>
      <Fact word="samples">{rate(l.samples, 's')}</Fact>
      <Fact word="agents">{count(l.agents)}</Fact>
      <Fact word="connections">{count(l.connections)}</Fact>
      <Fact word="viewers">{count(l.viewers)}</Fact>
      <Fact word="views behind">{l.lag > 0 ? `${count(l.lag)} records` : 'caught up'}</Fact>
    </dl>
  )
}

const words = { calm: '', near: 'near what a plan uses', beyond: 'beyond what a plan uses' }

function Bar({ of: g }: { of: Gauge }) {
  const share = g.value / g.has
  const full = level(g.mark > 0 ? share / g.mark : share)
  const text = `${amount(g.name, g.value)} of ${amount(g.name, g.has)}`
  return (
    <div className="gauge">
      <span className="gauge-name">{names[g.name] ?? g.name}</span>
      <span className={`bar ${full}`} role="meter" aria-label={names[g.name] ?? g.name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(Math.min(1, share) * 100)} aria-valuetext={text}>
        <i style={{ width: `${Math.min(100, share * 100)}%` }} />
        {g.mark > 0 && g.mark < 1 ? <b style={{ left: `${g.mark * 100}%` }} title={`A plan uses at most ${percent(g.mark)}`} /> : null}
      </span>
      <span className="gauge-share num">{share > 0 && share < 0.001 ? '<\u00a00.1\u00a0%' : percent(share)}</span>
      <span className="gauge-text dim small">{text}{g.note ? `, ${g.note}` : ''}{words[full] ? <strong> {words[full]}</strong> : null}</span>
    </div>
  )
}

const names: Record<string, string> = { cpu: 'CPU', memory: 'Memory', descriptors: 'Descriptors', disk: 'Disk' }

export function Gauges({ gauges }: { gauges: readonly Gauge[] }) {
  return (
    <div className="gauges">
      {gauges.map((g) => <Bar key={g.name} of={g} />)}
      <p className="dim small">The line in a bar is where a plan ends. With room, the server lets garbage gather and caches more: it takes more memory than it needs. Of the disk, what others use counts, too.</p>
    </div>
  )
}
