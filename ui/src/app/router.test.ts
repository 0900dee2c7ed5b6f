import { expect, test } from 'vitest'
import { agentPath, parseRoute } from './router'
import { bounds, parseWindow, rangeParam } from './window'

test('addresses are pages', () => {
  expect(parseRoute('/')).toEqual({ page: 'fleet' })
  expect(parseRoute('/runs')).toEqual({ page: 'runs' })
  expect(parseRoute('/agents/main/w-1')).toEqual({ page: 'agent', space: 'main', id: 'w-1' })
  expect(parseRoute('/capacity')).toEqual({ page: 'capacity' })
  expect(parseRoute('/nothing')).toEqual({ page: 'missing' })
  expect(parseRoute('/agents/main')).toEqual({ page: 'missing' })
})

test('an id with slashes, signs and broken escapes comes back whole', () => {
  for (const id of ['a/b', '<x> "y" ?#%', '日本', '__proto__']) expect(parseRoute(agentPath('main', id))).toEqual({ page: 'agent', space: 'main', id })
  expect(parseRoute('/agents/main/%zz')).toEqual({ page: 'agent', space: 'main', id: '%zz' })
})

test('windows of time', () => {
  expect(bounds(parseWindow('15m'), 1e6)).toEqual({ from: 1e6 - 900_000 })
  expect(bounds(parseWindow(rangeParam(1000.5, 2000.2)), 0)).toEqual({ from: 1000, to: 2001 })
  for (const bad of ['', '15', '9..1', 'x', '-5m', '1..']) expect(parseWindow(bad).kind).toBe('default')
})
