import { beforeEach, expect, test, vi } from 'vitest'
import { event } from '../model/map'
import { Tail } from './tail'

beforeEach(() => {
  vi.stubGlobal('requestAnimationFrame', (fn: FrameRequestCallback) => { fn(0); return 0 })
  Object.defineProperty(document, 'hidden', { value: false, configurable: true })
})
const items = (...offsets: number[]) => offsets.map((offset) => ({ offset }))
const offsets = (t: Tail) => t.store.getState().rows.map((e) => e.offset)

test('newest first, none twice', () => {
  const t = new Tail()
  t.add(items(1, 2))
  t.add(items(2, 3))
  expect(offsets(t)).toEqual([3, 2, 1])
})

test('held, it counts what waits and lets go of the oldest beyond its bound', () => {
  const t = new Tail(3)
  t.add(items(1))
  t.hold(true)
  t.add(items(2, 3, 4, 5))
  expect(offsets(t)).toEqual([1])
  expect(t.store.getState()).toMatchObject({ waiting: 3, dropped: 1 })
  t.hold(false)
  expect(offsets(t)).toEqual([5, 4, 3])
  expect(t.store.getState().waiting).toBe(0)
})

test('rows of the log go below, none twice', () => {
  const t = new Tail()
  t.add(items(5, 6))
  t.seed([event({ offset: 5 }), event({ offset: 4 })])
  expect(offsets(t)).toEqual([6, 5, 4])
})
