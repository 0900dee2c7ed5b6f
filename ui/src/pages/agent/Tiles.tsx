import { bounded, cost, count, duration, none } from '../../model/format'
import type { AgentView, SpanView } from '../../model/view'
import { Spark } from '../../parts/Spark'
import { Line, Since } from '../../parts/Text'

/** The value below which share of the sorted numbers lie; NaN of none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

const Tile = ({ name, children }: { name: string; children: React.ReactNode }) => <div className="panel tile"><h2 className="tile-name">{name}</h2>{children}</div>

export function Tiles({ agent: a, spans }: { agent: AgentView; spans: readonly SpanView[] }) {
  const took = spans.filter((s) => s.type === 'tool' && !s.open && !s.noStart).map((s) => s.dur).toSorted((x, y) => x - y)
  const c = a.counts
  return (
    <section className="tiles" aria-label="At a glance">
      <Tile name="Task">
        <p className="tile-main cut">{a.task ? <Line text={a.task.name || a.task.span} max={120} /> : <span className="dim">none</span>}</p>
        <p className="dim small">{a.task ? <>for <Since at={a.task.since} />{a.task.from ? <> · from <Line text={a.task.from} max={30} className="" /></> : null}</> : 'no open task'} · {count(c.tasks)} tasks, {count(c.runs)} runs</p>
      </Tile>
      <Tile name="Tokens, cost">
        <p className="tile-main"><strong>{bounded(count(a.usage.tokens), a.usage.quality)}</strong> <span className="dim">tokens</span> <strong>{cost(a.usage.cost, a.usage.quality, a.usage.tokens)}</strong></p>
        <p className="dim small">in {count(a.usage.input)} · out {count(a.usage.output)} · cache read {count(a.usage.cacheRead)} · write {count(a.usage.cacheWrite)} · {count(c.llm)} calls</p>
      </Tile>
      <Tile name="Tools">
        <p className="tile-main"><strong>{count(c.tools)}</strong> <span className="dim">calls</span> <strong>{count(c.failed_calls)}</strong> <span className="dim">failed</span></p>
        <p className="dim small">{took.length > 0 ? `p50 ${duration(quantile(took, 0.5))} · p95 ${duration(quantile(took, 0.95))} of ${count(took.length)} shown` : `latency ${none}`} · {a.open.tools} open · {count(c.denied)} denied · {count(c.cancelled)} cancelled</p>
      </Tile>
      <Tile name="Events">
        <p className="tile-main rowflow"><strong>{count(c.events)}</strong><Spark values={a.spark} label={`Events of the last 15 minutes: ${a.spark.join(', ')}`} /></p>
        <p className="dim small">{count(c.messages)} messages · {count(c.errors)} errors{c.shed > 0 ? ` · ${count(c.shed)} shed` : ''} · {a.links} {a.links === 1 ? 'link' : 'links'}</p>
      </Tile>
    </section>
  )
}
