import { expect, test } from 'vitest'
import { fields, stepOf, steps, timesAt } from './fields'

test('the slider stands at the step nearest to what the address says', () => {
  for (const [i, s] of steps.entries()) expect(stepOf(s)).toBe(i)
  expect([0, 1.9, 3.4, 7, 1e6].map((n) => steps[stepOf(n)])).toEqual([1, 2, 3, 6, 100])
  expect(steps[0]).toBe(1)
})

test('the slider says what the address says, and what it stands at once moved', () => {
  expect(timesAt(stepOf(1.9), 1.9)).toBe(1.9)
  expect(timesAt(stepOf(1.9) + 1, 1.9)).toBe(2.5)
})

test('fields are parameters of the address, once each', () => {
  const names = fields.map((f) => f.name)
  expect(new Set(names).size).toBe(names.length)
  expect(names).not.toContain('q')
  expect(names).not.toContain('t')
})
