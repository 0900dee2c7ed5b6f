import { expect, test } from 'vitest'
import { inUnit, join } from './Chart'

const series = (t: number[], avg: (number | null)[]) => ({ name: 'x', labels: [], t, avg, min: avg, max: avg })

test('a missing step is a hole, not a line', () => {
  const j = join([series([1000, 2000, 9000], [1, 2, 3])], 1000, 0, 10_000)
  expect(j.gaps).toEqual([[2000, 9000]])
  expect(j.x).toEqual([1, 2, 3, 9])
  expect(j.y[0]).toEqual([1, 2, null, 3])
})

test('nothing sent at all is one gap', () => {
  expect(join([], 1000, 0, 60_000)).toMatchObject({ x: [], gaps: [[0, 60_000]] })
})

test('series of other times share one axis', () => {
  const j = join([series([1000, 3000], [1, 3]), series([2000], [0])], 1000, 1000, 3000)
  expect(j.y).toEqual([[1, undefined, 3], [undefined, 0, undefined]])
})

test('what comes seldom is not silent in between', () => {
  expect(join([series([1000, 61_000, 121_000, 190_000], [1, 2, 3, 4])], 1000, 1000, 190_000).gaps).toEqual([])
})

test('values read as their unit', () => {
  const plain = (s: string) => s.replaceAll('\u00a0', ' ')
  expect(plain(inUnit(328e6, 'B'))).toBe('328 MB')
  expect(plain(inUnit(1240, 'ms'))).toBe('1.24 s')
  expect(plain(inUnit(328e6, 'By'))).toBe('328 MB')
  expect(plain(inUnit(0.8, '1/s'))).toBe('0.80/s')
  expect(plain(inUnit(0.5, '1'))).toBe('0.50')
  expect(plain(inUnit(13.27, '%'))).toBe('13.3 %')
})
