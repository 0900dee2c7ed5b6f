import { Link } from '../../app/Link'
import { agentPath, to } from '../../app/router'
import { bounded, cost, count, duration, exact, hourly, line, none } from '../../model/format'
import { shows } from '../../model/view'
import type { AgentView } from '../../model/view'
import { Spark } from '../../parts/Spark'
import { State } from '../../parts/State'
import type { Column } from '../../parts/Table'
import { Ago, Id, Line, Since } from '../../parts/Text'

const dash = <span className="faint">{none}</span>
const foreign = (text: string) => (text ? <Line text={text} /> : dash)

export const columns: Column<AgentView>[] = [
  {
    id: 'state', title: 'State', width: 112, sort: true,
    cell: (a) => <span title={line(a.verdict?.reason || a.msg || `${a.state}${a.on ? ` on ${a.on}` : ''}, said by the ${a.by || 'agent'}`, 400)}><State show={a.show} detail={a.show === 'running' && a.on ? `on ${line(a.on, 12)}` : ''} /></span>,
    text: (a) => a.show,
  },
  {
    id: 'name', title: 'Agent', width: 0, sort: true,
    cell: (a) => <span className="pair"><Link to={to(agentPath(a.space, a.id))} className="cut"><Line text={a.title} max={80} /></Link>{a.named ? <span className="faint small"><Id id={a.id} /></span> : null}</span>,
    text: (a) => `${a.space}/${a.id}`,
  },
  { id: 'role', title: 'Role', width: 92, from: 720, cell: (a) => foreign(a.role), text: (a) => a.role },
  {
    id: 'manager', title: 'Manager', width: 96, from: 1000,
    cell: (a) => (a.manager ? <Link to={to(agentPath(a.space, a.manager))}><Id id={a.manager} /></Link> : dash), text: (a) => a.manager,
  },
  { id: 'task', title: 'Task', width: 0, from: 560, cell: (a) => foreign(a.ask?.msg || a.task?.name || a.run?.name || a.msg), text: (a) => a.task?.name ?? '' },
  { id: 'last', title: 'Last event', width: 96, num: true, sort: true, cell: (a) => <Ago at={a.last} />, text: (a) => exact(a.last), value: (a) => a.last },
  { id: 'events', title: 'Events', width: 64, num: true, from: 900, cell: (a) => count(a.counts.events), text: (a) => String(a.counts.events), value: (a) => a.counts.events },
  {
    id: 'tokens', title: 'Tokens', width: 88, num: true, sort: true, from: 480,
    cell: (a) => <span title={`in ${count(a.usage.input)} · out ${count(a.usage.output)} · cache read ${count(a.usage.cacheRead)} · cache write ${count(a.usage.cacheWrite)}`}>{bounded(count(a.usage.tokens), a.usage.quality)}</span>,
    text: (a) => String(a.usage.tokens), value: (a) => a.usage.tokens,
  },
  { id: 'cost', title: 'Cost', width: 88, num: true, sort: true, from: 640, cell: (a) => cost(a.usage.cost, a.usage.quality, a.usage.tokens), text: (a) => cost(a.usage.cost, a.usage.quality, a.usage.tokens), value: (a) => a.usage.cost / 1e9 },
  {
    id: 'failures', title: 'Failures', width: 76, num: true, sort: true, from: 820,
    cell: (a) => (a.counts.failed_calls > 0 ? <span title={`${a.counts.failed_calls} failed, ${a.counts.denied} denied, ${a.counts.cancelled} cancelled`}>{count(a.counts.failed_calls)}</span> : <span className="faint">0</span>),
    text: (a) => String(a.counts.failed_calls), value: (a) => a.counts.failed_calls,
  },
  { id: 'spark', title: 'Last 15 m', width: 80, from: 760, cell: (a) => <Spark values={a.spark} label={`Events of the last 15 minutes: ${a.spark.join(', ')}`} />, text: (a) => a.spark.join(' '), value: (a) => a.spark },
  { id: 'host', title: 'Host', width: 112, off: true, cell: (a) => foreign(a.host), text: (a) => a.host },
  { id: 'version', title: 'Version', width: 96, off: true, cell: (a) => foreign(a.version), text: (a) => a.version },
  { id: 'model', title: 'Model', width: 140, off: true, cell: (a) => foreign(a.model), text: (a) => a.model },
  { id: 'space', title: 'Space', width: 88, off: true, cell: (a) => foreign(a.space), text: (a) => a.space },
  { id: 'since', title: 'In state for', width: 92, num: true, off: true, cell: (a) => <Since at={a.since} />, text: (a) => exact(a.since), value: (a) => a.since },
  { id: 'burn', title: 'Cost/h', width: 84, num: true, off: true, sort: true, cell: (a) => hourly(a.burn), text: (a) => hourly(a.burn), value: (a) => a.burn / 1e9 },
  { id: 'workers', title: 'Workers', width: 72, num: true, off: true, cell: (a) => count(a.workers), text: (a) => String(a.workers), value: (a) => a.workers },
  { id: 'life', title: 'Known for', width: 92, num: true, off: true, cell: (a) => duration((a.endedAt || a.last) - a.first), text: (a) => String((a.endedAt || a.last) - a.first), value: (a) => (a.endedAt || a.last) - a.first },
]

const rank = Object.fromEntries(shows.map((s, i) => [s, i]))

type Order = (a: AgentView, b: AgentView) => number
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
const orders: Record<string, Order> = {
  state: (a, b) => (rank[a.show] ?? 0) - (rank[b.show] ?? 0),
  name: (a, b) => byText(a.title, b.title),
  last: (a, b) => a.last - b.last,
  tokens: (a, b) => a.usage.tokens - b.usage.tokens,
  cost: (a, b) => a.usage.cost - b.usage.cost,
  failures: (a, b) => a.counts.failed_calls - b.counts.failed_calls,
  burn: (a, b) => a.burn - b.burn,
}

/** Which comes first by one column alone; 0 when equal. */
export const compareAgents: (a: AgentView, b: AgentView, by: string) => number = (a, b, by) => (orders[by] ?? orders.state)?.(a, b) ?? 0

/** Sorts in place; ties go by name and id, so that equal rows keep their places. */
export function sortAgents(rows: AgentView[], by: string, desc: boolean): AgentView[] {
  const sign = desc ? -1 : 1
  return rows.sort((a, b) => sign * compareAgents(a, b, by) || byText(a.title, b.title) || byText(a.id, b.id))
}
