import { expect, test } from 'vitest'
import { agent } from '../../model/map'
import { agentShape } from '../../test/factories'
import { group } from './board'
import { compareAgents, sortAgents } from './columns'
import { cellAt, hit, layout } from './layout'

const groups = (...counts: number[]) => counts.map((count, i) => ({ name: `g${i}`, count }))

test('every cell lies within, none over another, and is found again', () => {
  const l = layout(groups(200, 90, 40, 7, 1, 1, 1), 600, 400)
  const places = new Set<string>()
  for (const g of l.groups) {
    for (let i = g.first; i < g.first + g.count; i++) {
      const { x, y } = cellAt(l, g, i)
      expect(x + l.pitch).toBeLessThanOrEqual(600)
      expect(y + l.pitch).toBeLessThanOrEqual(l.height)
      places.add(`${x} ${y}`)
      expect(hit(l, x + 1, y + 1)?.cell).toBe(i)
    }
  }
  expect(places.size).toBe(340)
})

test('cells shrink until all fit; 65,000 have places too', () => {
  expect(layout(groups(20), 1200, 400).pitch).toBe(18)
  const l = layout(groups(...Array.from({ length: 6500 }, () => 10)), 1200, 400)
  expect(l.total).toBe(65_000)
  expect(l.pitch).toBe(4)
  expect(l.labels).toBe(false)
})

test('outside of groups lies nothing; a label belongs to its group', () => {
  const l = layout(groups(4), 600, 400)
  expect(hit(l, 500, 300)).toBeNull()
  expect(hit(l, 2, 2)).toMatchObject({ cell: -1, group: { name: 'g0' } })
  expect(hit(layout([], 600, 400), 1, 1)).toBeNull()
})

test('a manager stands first among its workers; who has ended is not there', () => {
  const rows = [agentShape({ id: 'a', manager: 'm' }), agentShape({ id: 'm', workers: 1 }), agentShape({ id: 'z', show: 'ended' }), agentShape({ id: 'solo' })].map(agent)
  const g = group(rows, 'manager')
  expect(g.names).toEqual([{ name: 'm', count: 2 }, { name: '', count: 1 }])
  expect(g.order.map((a) => a.id)).toEqual(['m', 'a', 'solo'])
})

test('what wants a person comes first; equal rows keep to their names', () => {
  const rows = [['b', 'idle'], ['a', 'idle'], ['c', 'failed'], ['d', 'stuck']].map(([id, show]) => agent(agentShape({ id: id as string, show: show as string })))
  expect(sortAgents(rows, 'state', false).map((a) => a.id)).toEqual(['c', 'd', 'a', 'b'])
  expect(compareAgents(rows[2]!, rows[3]!, 'state')).toBe(0)
})
