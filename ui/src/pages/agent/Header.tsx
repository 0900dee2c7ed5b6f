import { Link } from '../../app/Link'
import { agentPath, runPath, to } from '../../app/router'
import { line } from '../../model/format'
import type { AgentView } from '../../model/view'
import { Shape, words } from '../../parts/State'
import { Ago, Id, Line, Since } from '../../parts/Text'
import { evidencePath } from '../events/evidence'

/** Who it is, how it is, and why we say so. */
export function Header({ agent: a }: { agent: AgentView }) {
  const v = a.verdict
  return (
    <header className="panel agent-head keep">
      <div className="rowflow">
        <span className="state large"><Shape show={a.show} /></span>
        <h1 className="cut"><Line text={a.title} max={120} className="" /></h1>
        {a.named ? <span className="dim"><Id id={a.id} /></span> : null}
        <span className={`pill s-${a.show}`}><span>{words[a.show]}</span></span>
        <span className="grow" />
        <span className="dim">last event <Ago at={a.last} /></span>
      </div>
      {v ? (
        <p className="verdict">
          <strong>{line(v.kind.replace('_', ' '), 24)}</strong> {v.since > 0 ? <>for <Since at={v.since} />: </> : ': '}
          <Line text={v.reason} max={400} className="" />
          <span className="dim"> · rule <span className="mono">{line(v.rule, 40)}</span>{v.evidence.length > 0 ? <> · <Link to={evidencePath(a, v.evidence)}>evidence ({v.evidence.length})</Link></> : null}</span>
        </p>
      ) : null}
      {a.ask ? (
        <p className="verdict">
          <strong>asks</strong> for <Since at={a.ask.since} />: <Line text={a.ask.msg || a.ask.name} max={400} className="" />
          <span className="dim"> · {line(a.ask.kind, 24)} · answered where the agent runs</span>
        </p>
      ) : null}
      <p className="facts-line dim">
        {a.role ? <span><Line text={a.role} max={60} className="" /></span> : null}
        {a.manager ? <span>of <Link to={to(agentPath(a.space, a.manager))}><Id id={a.manager} /></Link></span> : null}
        {a.workers > 0 ? <span>{a.workers} {a.workers === 1 ? 'worker' : 'workers'}</span> : null}
        {a.host ? <span>host <Line text={a.host} max={60} className="" /></span> : null}
        {a.version ? <span>version <Line text={a.version} max={40} className="" /></span> : null}
        {a.model ? <span><Line text={a.model} max={60} className="" /></span> : null}
        <span>space <Line text={a.space} max={40} className="" /></span>
        <span title={`said by the ${line(a.by || 'agent', 20)}`}>declares {line(a.state, 20)}{a.on ? ` on ${line(a.on, 20)}` : ''} for <Since at={a.since} />{a.msg ? <>: <Line text={a.msg} max={120} className="" /></> : null}</span>
        {a.run?.id ? <span>run <Link to={to(runPath(a.space, a.run.id))}><Line text={a.run.name || a.run.id} max={60} className="" /></Link></span> : null}
        {a.ended ? <span>ended <Ago at={a.endedAt} /></span> : null}
        {a.labels.filter(([, val]) => val !== '').slice(0, 8).map(([k, val]) => <span key={k} className="mono">{line(k, 30)}={line(val, 40)}</span>)}
      </p>
    </header>
  )
}
