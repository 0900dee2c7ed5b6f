import { beforeEach, expect, test, vi } from 'vitest'
import { agentKey } from '../model/map'
import { agentShape } from '../test/factories'
import { FleetStore } from './fleet'

let frames: FrameRequestCallback[] = []
beforeEach(() => {
  frames = []
  vi.stubGlobal('requestAnimationFrame', (fn: FrameRequestCallback) => frames.push(fn))
  Object.defineProperty(document, 'hidden', { value: false, configurable: true })
})
const frame = () => {
  const now = frames
  frames = []
  for (const fn of now) fn(0)
}
const message = (ids: string[], part: { end?: boolean; gone?: { space: string; id: string }[]; show?: string } = {}) => ({
  items: ids.map((id) => agentShape({ id, show: part.show ?? 'running' })), gone: part.gone ?? [], snapshot: part.end !== undefined, end: part.end ?? false, offset: 1,
})
const key = (id: string) => agentKey('main', id)

test('many messages are one change a frame', () => {
  const f = new FleetStore()
  const versions: number[] = []
  f.store.subscribe((s) => versions.push(s.version))
  f.begin()
  versions.length = 0
  f.agents(message(['a', 'b'], { end: false }))
  f.agents(message(['c'], { end: true }))
  expect(f.rows.size).toBe(0)
  frame()
  expect(versions).toEqual([1])
  expect([...f.rows.keys()]).toEqual([key('a'), key('b'), key('c')])
  expect(f.store.getState()).toMatchObject({ loaded: true, members: 1 })
})

test('a change of a row is no change of members', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['a'], { end: true }))
  frame()
  const { members } = f.store.getState()
  f.agents(message(['a'], { show: 'stuck' }))
  frame()
  expect(f.rows.get(key('a'))?.show).toBe('stuck')
  expect(f.store.getState().members).toBe(members)
  expect([...f.changed]).toEqual([key('a')])
})

test('what a new snapshot does not name is gone, at its end and not before', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['a', 'b'], { end: true }))
  frame()
  f.begin()
  f.agents(message(['b'], { end: false }))
  frame()
  expect(f.rows.size).toBe(2)
  f.agents(message([], { end: true }))
  frame()
  expect([...f.rows.keys()]).toEqual([key('b')])
})

test('gone agents leave', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['a', 'x/y'], { end: true }))
  frame()
  f.agents(message([], { gone: [{ space: 'main', id: 'x/y' }] }))
  frame()
  expect([...f.rows.keys()]).toEqual([key('a')])
})

test('held, it keeps the newest of each and counts', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['a'], { end: true }))
  frame()
  f.pause(true)
  f.agents(message(['a'], { show: 'stuck' }))
  f.agents(message(['a', 'b'], { show: 'failed' }))
  frame()
  expect(f.rows.get(key('a'))?.show).toBe('running')
  expect(f.store.getState().held).toBe(2)
  f.pause(false)
  frame()
  expect(f.rows.get(key('a'))?.show).toBe('failed')
  expect(f.store.getState().held).toBe(0)
})

test('ids that name parts of an object are only names', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['__proto__', 'constructor', 'toString'], { end: true }))
  frame()
  expect(f.rows.size).toBe(3)
  expect(({} as Record<string, unknown>).show).toBeUndefined()
})

test('rows in sight are told once, and to who listens later', () => {
  const f = new FleetStore()
  f.begin()
  f.agents(message(['a', 'b'], { end: true }))
  frame()
  const told: string[][] = []
  f.whenLooked((agents) => told.push(agents.map((a) => `${a.space}/${a.id}`)))
  expect(told).toEqual([])
  f.look([...f.rows.values()])
  f.look([...f.rows.values()])
  expect(told).toEqual([['main/a', 'main/b']])
  f.whenLooked(null)
  f.look([...f.rows.values()].slice(1))
  f.whenLooked((agents) => told.push(agents.map((a) => a.id)))
  expect(told.at(-1)).toEqual(['b'])
  f.look([])
  expect(told.at(-1)).toEqual([])
})
