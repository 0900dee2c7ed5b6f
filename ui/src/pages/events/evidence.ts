// The address of the events that a verdict rests on.
import { agentPath, to } from '../../app/router'
import { withField } from '../../model/terms'

const beforeMs = 10 * 60_000
const afterMs = 60_000
const marksMax = 50

/** Events of the agent around the time, with the evidence marked. */
export function evidencePath(a: { space: string; id: string }, since: number, evidence: readonly number[]): string {
  if (!a.id) return agentPath(a.space, a.id)
  const q = withField(withField('', 'space', a.space), 'agent', a.id)
  return to('/events', { q, t: since > 0 ? `${Math.floor(since - beforeMs)}..${Math.ceil(since + afterMs)}` : '', mark: evidence.slice(0, marksMax).join(',') })
}
