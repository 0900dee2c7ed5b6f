// The address of the events that a verdict rests on.
import { to } from '../../app/router'
import { withField } from '../../model/terms'

const marksMax = 50

/** Events of the agent from a little above the newest evidence downwards, with the evidence marked. */
export function evidencePath(a: { space: string; id: string }, evidence: readonly number[]): string {
  const q = withField(withField('', 'space', a.space), 'agent', a.id)
  return to('/events', { q, t: '', mark: evidence.slice(-marksMax).join(',') })
}
