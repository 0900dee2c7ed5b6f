import { expect, test } from 'vitest'
import { event } from '../../model/map'
import { spanView } from '../../test/factories'
import { extent, lanes } from './lanes'
import { quantile } from './Tiles'

test('overlapping spans go below each other, later ones come back up', () => {
  const l = lanes([spanView({ span: 'a', start_ms: 0, end_ms: 10 }), spanView({ span: 'b', start_ms: 5, end_ms: 20 }), spanView({ span: 'c', start_ms: 20, end_ms: 30 })].map((s) => ({ ...s })), [], 100)
  expect(l.marks.filter((m) => m.lane === 'tools').map((m) => m.row)).toEqual([0, 1, 0])
  expect(l.rows.tools).toBe(2)
})

test('an open span lasts until now, an error stands in its lane too', () => {
  const l = lanes([spanView({ span: 'a', start_ms: 10, open: true, end_ms: undefined as never }), spanView({ span: 'b', start_ms: 10, end_ms: 40, status: 'error' })], [], 100)
  expect(l.marks.find((m) => m.span?.span === 'a')).toMatchObject({ to: 100, open: true })
  expect(l.marks.filter((m) => m.lane === 'errors')).toMatchObject([{ from: 40 }])
})

test('messages and errors of events are marks, an error of a span is not there twice', () => {
  const l = lanes([], [event({ type: 'message', msg: 'hi', ts: 5 }), event({ type: 'log', severity: 'error', ts: 6 }), event({ type: 'tool', severity: 'error', span: 's', ts: 7 })], 10)
  expect(l.marks.map((m) => m.lane)).toEqual(['messages', 'errors'])
})

test('the extent holds all spans', () => {
  expect(extent([], 5)).toBeNull()
  const e = extent([spanView({ start_ms: 1000, end_ms: 61_000 })], 0)
  expect(e?.from).toBeLessThan(1000)
  expect(e?.to).toBeGreaterThan(61_000)
})

test('quantiles by nearest rank', () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2)
  expect(quantile([1, 2, 3, 4], 0.95)).toBe(4)
  expect(quantile([], 0.5)).toBeNaN()
})
