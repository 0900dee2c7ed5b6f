import { expect, test } from 'vitest'
import { agentShape, spanShape } from '../test/factories'
import { agent, agentKey, attention, event, fleet, range, run, series, span } from './map'

test('an agent comes through whole', () => {
  const a = agent(agentShape({ name: 'dev@build:shop', verdict: { kind: 'stuck', rule: 'repetition', reason: 'six times', since_ms: 5, evidence: [1, 2] }, show: 'stuck' }))
  expect(a).toMatchObject({ title: 'dev@build:shop', named: true, show: 'stuck', verdict: { rule: 'repetition', evidence: [1, 2] }, burn: 1e9, spark: [0, 1, 2] })
  expect(a.usage).toMatchObject({ tokens: 15, cost: 31_200_000, quality: 'lower_bound' })
})

test('what is missing or of another type becomes something that can be shown', () => {
  const a = agent({ id: 7, show: 'constructor', usage: { input_tokens: 'many' }, labels: null, rate: { events_15m: 'x' }, verdict: { evidence: ['1', 2] } } as never)
  expect(a).toMatchObject({ id: '', show: 'unknown', labels: [], spark: [], state: 'unknown' })
  expect(a.usage.tokens).toBe(0)
  expect(a.verdict?.evidence).toEqual([2])
  expect(agent({}).counts.events).toBe(0)
})

test('keys of different agents never meet', () => {
  expect(agentKey('a', 'b/c')).not.toBe(agentKey('a/b', 'c'))
  expect(agentKey('a', '1:b')).not.toBe(agentKey('a1:', 'b'))
  expect(agentKey('__proto__', 'x')).toBe('9:__proto__/x')
})

test('the fleet counts every state', () => {
  expect(fleet({ by_show: { running: 3 } }).by).toMatchObject({ running: 3, stuck: 0 })
})

test('an entry of the queue has its agent', () => {
  expect(attention({ kind: 'asks', agent: agentShape(), span: 's', since_ms: 4 })).toMatchObject({ kind: 'asks', since: 4, agent: { id: 'w-1' } })
  expect(attention({}).agent.id).toBe('')
})

test('a span without a start lies at its end, an open one has none', () => {
  expect(span({ end_ms: 9, no_start: true })).toMatchObject({ start: 9, end: 9, noStart: true, status: 'unknown' })
  expect(span({ start_ms: 9, open: true })).toMatchObject({ open: true, status: 'open', dur: 0 })
  expect(span(spanShape({ error: { code: 1, msg: { a: 1 } } })).error).toEqual({ code: '1', msg: '{"a":1}' })
  expect(run({ agents: 3, errors: 1 })).toMatchObject({ agents: 3, errors: 1, spans: 0 })
})

test('an event says what it is in one line', () => {
  expect(event({ type: 'state', state: { state: 'waiting', on: 'tool' } }).summary).toBe('waiting on tool')
  expect(event({ type: 'metrics', name: 'process', metrics: { cpu: 4 } }).summary).toBe('process · cpu 4')
  expect(event({ type: 'tool', name: 'Bash', error: { msg: 'exit\n1' } }).summary).toBe('Bash · exit 1')
  expect(event({ type: 'tool', input: { a: 1 } }).summary).toBe('{"a":1}')
  expect(event({ type: 'tool', output: { $blob: 'a'.repeat(64), size: 16591, type: 'text/plain' } }).summary).toBe('text/plain, 16.6\u00a0kB')
  expect(event({ ts: 5, recv_ms: 9 })).toMatchObject({ at: 5, recv: 9, type: 'unknown', severity: 'info' })
})

test('series keep their labels in order and holes as null', () => {
  expect(series({ metric: 'lat', labels: { b: '2', a: '1' } }).name).toBe('lat{a=1, b=2}')
  const r = range({ step_ms: 10, series: [{ metric: 'cpu', t: [1, 2, 3], avg: [1, null] }] })
  expect(r.series[0]?.avg).toEqual([1, null, null])
})
