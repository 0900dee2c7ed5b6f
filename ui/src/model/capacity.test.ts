import { expect, test } from 'vitest'
import type { CapacityShape } from '../api/shape'
import { amount, capacity, inside, level, small, times, title, typed, verdict } from './capacity'

const plain = (s: string) => s.replaceAll('\u00a0', ' ')

const answer: CapacityShape = {
  host: { cores: 2, cpu: 'Xeon', memory_bytes: 25e9, descriptors: 20_000, disk_bytes: 270e9, disk_free_bytes: 50e9, disk_used_bytes: 20e9 },
  costs: { at: '2026-11-22T15:45:22Z', by: 'recorded', says: 'by hand', machine: { cores: 2, cpu: 'Xeon' }, cpu_event_us: 5.53, cpu_sample_us: 0, sources: { cpu_event_us: { by: 'live', says: '1.2 times' } } },
  measured: { in_force: true, confidence: 'fair', events: 3.2e6, minutes: 24.2, spread: 0.12, says: 'x' },
  live: { events_per_s: 1000, samples_per_s: 50, agents: 40, connections: 38, viewers: 2, cpu_cores: 0.3, memory_bytes: 1e9, view_lag: 0 },
  busiest: { at: '2026-11-22T12:00:00Z', events_per_s: 3000 },
  descriptors_open: 80, of: 'now', times: 2, today: { agents: 40, events_per_s: 25 },
  answer: {
    load: { agents: 80, events_per_s: 25, days: 30 },
    needs: [
      { name: 'cpu', unit: 'cores', value: 0.5, has: 2, usable: 1, parts: [{ name: 'events', value: 0.5 }], missing: ['samples'], says: 's' },
      { name: 'disk', unit: 'bytes', value: 100e9, has: 270e9, usable: 29.5e9, parts: [{ name: 'log', value: 100e9 }] },
      { name: 'network_out', unit: 'bytes/s', value: 0, missing: ['viewers'] },
    ],
    max_times: 0.295, first_limit: 'disk',
    limits: [{ name: 'disk', times: 0.295, says: 'a larger disk' }, { name: 'cpu', times: 2, says: 'cores', loose: true }, { name: 'sealing', times: 40, says: 'faster cores' }],
    disk_bytes_per_day: 3.33e9, disk_days: 8.86,
    unanswered: ['CPU: at least this much, since nobody measured samples', 'network out: not known', 'price: no number of hosts'],
  },
}

test('needs, gauges and costs', () => {
  const v = capacity(answer)
  expect(v.needs.map((n) => [n.name, n.known, n.atLeast, n.used])).toEqual([['cpu', true, true, 0.5], ['disk', true, false, 100 / 29.5], ['network_out', false, false, 0]])
  // A plan ends at half of the cores; of the disk at 85 %, of which others use 200 of 270 GB.
  expect(v.gauges.map((g) => [g.name, g.value, Number(g.mark.toFixed(2))])).toEqual([['cpu', 0.3, 0.5], ['memory', 1e9, 0], ['descriptors', 80, 0], ['disk', 220e9, 0.85]])
  expect(v.costs.find((c) => c.name === 'cpu_event_us')).toMatchObject({ by: 'live', says: '1.2 times' })
  expect(plain(v.costs.find((c) => c.name === 'cpu_event_us')?.value ?? '')).toBe('5.53 µs')
  expect(v.costs.find((c) => c.name === 'cpu_sample_us')).toMatchObject({ by: 'none', value: '–' })
  expect(plain(v.confidence)).toBe('Measured here, confidence fair: 3.20 M events in 24 min under load, ±12 %.')
  // What stands beside a need is not said again.
  expect(v.unanswered).toEqual(['price: no number of hosts'])
})

test('the verdict tells what runs at once from how long the disk lasts', () => {
  const v = verdict(capacity(answer), false)
  expect(v.level).toBe('beyond')
  expect(plain(v.text)).toBe('This machine bears at most 4× the load of now. What ends it: CPU.')
  expect(plain(v.disk)).toBe('The disk holds 8 d 20 h at 2×, not 30 days.')
  expect(plain(v.agents)).toBe('That is 160 agents. 2× runs.')
  const calm = verdict(capacity({ ...answer, times: 1, answer: { ...answer.answer, limits: [{ name: 'sealing', times: 40 }], disk_days: 90 } }), true)
  expect(calm.level).toBe('calm')
  expect(plain(calm.text + calm.disk)).toBe('This machine bears 40× the load entered below. What ends it: sealing.The disk holds 90 days.')
})

test('next to no load is not multiplied, what is entered is', () => {
  const v = capacity({ ...answer, live: { events_per_s: 0.3, agents: 0 } })
  expect(verdict(v, false)).toMatchObject({ level: 'unknown', text: 'There is no load to speak of.' })
  expect(verdict(v, true).level).toBe('beyond')
})

test('a server that says nothing makes a page all the same', () => {
  const v = capacity({})
  expect(v.gauges).toEqual([])
  expect(v.costs.every((c) => c.by === 'none' && c.value === '–')).toBe(true)
  expect(verdict(v, false)).toMatchObject({ level: 'unknown', disk: '' })
  const odd = capacity({ answer: { needs: [{}], limits: [{}], max_times: Number.NaN }, costs: { sources: { cpu_event_us: {} } }, live: {} } as CapacityShape)
  expect(odd.max).toBe(0)
  expect(JSON.stringify(odd)).not.toMatch(/NaN|undefined/)
})

test('names', () => {
  expect([title('cpu'), title('disk_writes'), title('log writer'), inside('memory'), inside('cpu'), inside('log writer')]).toEqual(['CPU', 'Disk writes', 'Log writer', 'memory', 'CPU', 'log writer'])
})

test.each([['cpu', 0.123, '0.12 cores'], ['cpu', 1, '1 core'], ['memory', 2.24e9, '2.24 GB'], ['descriptors', 20_000, '20.0 k'], ['disk_writes', 4.37e6, '4.37 MB/s'], ['disk_operations', 159.7, '160 IOPS'], ['network_in', 2.75e6, '22 Mbit/s']])('%s %s', (name, v, want) => {
  expect(plain(amount(name, v))).toBe(want)
})

test('how many times', () => {
  expect([0, 0.0107, 0.32, 1.5, 11.4, 7555].map((x) => plain(times(x)))).toEqual(['0×', '0.011×', '0.32×', '1.50×', '11×', '7.55 k×'])
  expect([Infinity, 5.8e-7].map((x) => plain(small(x)))).toEqual(['–', '< 0.0001'])
  expect([0.5, 0.9, 1.1].map(level)).toEqual(['calm', 'near', 'beyond'])
})

test('numbers as people type them', () => {
  expect(['', ' ', '65000', '65,000', '65k', '1.5M', '.5', '0'].map(typed)).toEqual([undefined, undefined, 65_000, 65_000, 65_000, 1.5e6, 0.5, 0])
  for (const bad of ['x', '-1', '1e3', '1..2', '5 %', 'NaN']) expect(typed(bad)).toBeNaN()
})
