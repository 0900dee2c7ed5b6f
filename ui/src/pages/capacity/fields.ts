import type { LoadView } from '../../model/capacity'

/** A figure of the load that a person may replace; of is today's. */
export type Field = { name: string; word: string; unit: string; of: (l: LoadView) => number | undefined }

export const fields: Field[] = [
  { name: 'agents', word: 'agents', unit: '', of: (l) => l.agents },
  { name: 'rate', word: 'events', unit: '/s each', of: (l) => l.rate },
  { name: 'metrics', word: 'metric samples', unit: '/s each', of: (l) => l.metrics },
  { name: 'frame', word: 'events a frame', unit: '', of: (l) => l.frame },
  { name: 'viewers', word: 'viewers', unit: '', of: (l) => l.viewers },
  { name: 'days', word: 'kept', unit: 'days', of: (l) => l.days },
  { name: 'price', word: 'host a month', unit: 'any currency', of: () => undefined },
]

/** Where the slider stands. */
export const steps = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]

/** The step nearest to a number of times. */
export function stepOf(times: number): number {
  let best = 0
  steps.forEach((s, i) => {
    if (Math.abs(s - times) < Math.abs((steps[best] ?? 1) - times)) best = i
  })
  return best
}

/** The times that the slider says at a step: those of the address where it has not been moved from there. */
export const timesAt = (step: number, asked: number): number => step === stepOf(asked) ? asked : steps[step] ?? 1
