import { beforeEach, expect, test } from 'vitest'
import { Live } from './live'
import type { Env, Wire } from './live'
import type { EventShape } from './shape'

class FakeWire implements Wire {
  sent: Record<string, unknown>[] = []
  closed = false
  onopen: (() => void) | null = null
  onmessage: ((m: { data: unknown }) => void) | null = null
  onclose: ((c: { code: number }) => void) | null = null
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>)
  }
  close() {
    this.closed = true
  }
  say(m: object) {
    this.onmessage?.({ data: JSON.stringify(m) })
  }
  hello(epoch = 1) {
    this.onopen?.()
    this.say({ op: 'hello', log: 'l', epoch, offset: 100, clock_ms: 5000 })
  }
  of(op: string) {
    return this.sent.filter((m) => m.op === op)
  }
}

let wires: FakeWire[]
let timers: { at: number; fn: () => void }[]
let time: number
let refused: number
let live: Live

const wire = () => wires.at(-1) as FakeWire

function pass(ms: number): void {
  time += ms
  for (const t of timers.filter((x) => x.at <= time)) {
    timers = timers.filter((x) => x !== t)
    t.fn()
  }
}

beforeEach(() => {
  wires = []
  timers = []
  time = 1000
  refused = 0
  const env: Env = {
    open: () => {
      wires.push(new FakeWire())
      return wire()
    },
    now: () => time,
    random: () => 1,
    after: (ms, fn) => {
      const t = { at: time + ms, fn }
      timers.push(t)
      return () => {
        timers = timers.filter((x) => x !== t)
      }
    },
    changed: () => {},
    refused: () => refused++,
  }
  live = new Live(env)
})

const listen = (from: 'now' | number = 'now') => {
  const got: number[] = []
  const gaps: string[] = []
  const stop = live.subscribe({ what: 'events', filter: {}, from, on: (items: EventShape[]) => got.push(...items.map((e) => e.offset ?? -1)), gap: (why) => gaps.push(why) })
  return { got, gaps, stop }
}
const items = (...offsets: number[]) => offsets.map((offset) => ({ offset }))

test('subscribes once the server has greeted', () => {
  listen()
  live.start()
  expect(wire().sent).toEqual([])
  wire().hello()
  expect(wire().of('subscribe')).toMatchObject([{ what: 'events', from: 'now', mode: 'all', credits: 2000 }])
  expect(live.state.status).toBe('live')
})

test('resumes behind the last offset, and shows nothing twice', () => {
  const { got, gaps } = listen()
  live.start()
  wire().hello()
  wire().say({ op: 'events', id: 1, items: items(101, 103), offset: 104 })
  wire().onclose?.({ code: 1006 })
  expect(live.state.status).toBe('offline')
  pass(400)
  wire().hello()
  expect(wire().of('subscribe')[0]?.from).toBe(104)
  wire().say({ op: 'subscribed', id: 1, offset: 104, recovered: true })
  wire().say({ op: 'events', id: 1, items: items(103, 104, 105), offset: 105 })
  expect(got).toEqual([101, 103, 104, 105])
  expect(gaps).toEqual([])
})

test('tells how far the views are until rows come', () => {
  live.subscribe({ what: 'agents', filter: {}, on: () => {} })
  live.start()
  wire().hello()
  expect(live.state.loading).toBe(null)
  wire().say({ op: 'loading', progress: { phase: 'load', done: 0.63 } })
  expect(live.state).toMatchObject({ status: 'live', loading: { phase: 'load', done: 0.63 } })
  wire().say({ op: 'loaded' })
  expect(live.state.loading).toBe(null)
  wire().say({ op: 'loading', progress: { phase: 'fold', done: 0.1, behind: 9 } })
  wire().say({ op: 'agents', id: 1, items: [], end: true })
  expect(live.state.loading).toBe(null)
  wire().say({ op: 'loading', progress: {} })
  wire().onclose?.({ code: 1006 })
  pass(400)
  wire().hello()
  expect(live.state.loading).toBe(null)
})

test('a quiet subscription resumes where it began', () => {
  listen()
  live.start()
  wire().hello()
  wire().say({ op: 'subscribed', id: 1, offset: 100, recovered: true })
  wire().onclose?.({ code: 1006 })
  pass(400)
  wire().hello()
  expect(wire().of('subscribe')[0]?.from).toBe(100)
})

test('another epoch begins anew and says so', () => {
  const { got, gaps } = listen()
  live.start()
  wire().hello()
  wire().say({ op: 'events', id: 1, items: items(500), offset: 500 })
  wire().onclose?.({ code: 1006 })
  pass(400)
  wire().hello(2)
  expect(wire().of('subscribe')[0]?.from).toBe('now')
  expect(gaps).toEqual(['the log began a new epoch'])
  wire().say({ op: 'events', id: 1, items: items(20), offset: 20 })
  expect(got).toEqual([500, 20])
})

test('a resume that lost something is told', () => {
  const { gaps } = listen()
  live.start()
  wire().hello()
  wire().say({ op: 'events', id: 1, items: items(101), offset: 101 })
  wire().onclose?.({ code: 1006 })
  pass(400)
  wire().hello()
  wire().say({ op: 'subscribed', id: 1, offset: 900, recovered: false })
  expect(gaps).toHaveLength(1)
})

test('credits are topped up at half, to the full and never beyond', () => {
  listen()
  live.start()
  wire().hello()
  let granted = 2000
  let used = 0
  let offset = 200
  for (let i = 0; i < 50; i++) {
    const batch = items(...Array.from({ length: 150 }, () => offset++))
    used += batch.length
    wire().say({ op: 'events', id: 1, items: batch, offset })
    granted = 2000 + wire().of('request').reduce((sum, m) => sum + (m.n as number), 0)
    expect(granted - used).toBeLessThanOrEqual(2000)
    expect(granted - used).toBeGreaterThan(0)
  }
  expect(wire().of('request').length).toBeLessThan(10)
})

test('waits longer after each failure, with jitter, and at most 15 s', () => {
  live.start()
  const waits: number[] = []
  for (let i = 0; i < 8; i++) {
    wire().onclose?.({ code: 1006 })
    waits.push(live.state.retryAt - time)
    pass(live.state.retryAt - time)
  }
  expect(waits).toEqual([400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
  expect(refused).toBe(8)
  wire().hello()
  expect(live.state.attempts).toBe(0)
})

test('a connection that stops answering is given up', () => {
  live.start()
  wire().hello()
  const old = wire()
  pass(12_000)
  expect(old.closed).toBe(true)
  expect(live.state.status).toBe('offline')
  pass(400)
  expect(wires).toHaveLength(2)
})

test('a pong tells round trip and clock', () => {
  live.start()
  wire().hello()
  const t = wire().of('ping')[0]?.t
  time += 40
  wire().say({ op: 'pong', t, clock_ms: time + 980, offset: 1 })
  expect(live.state.rtt).toBe(40)
  expect(live.state.skew).toBe(1000)
  pass(5000)
  expect(wire().of('ping')).toHaveLength(2)
})

test('messages of an ended subscription go nowhere', () => {
  const { got, stop } = listen()
  live.start()
  wire().hello()
  stop()
  wire().say({ op: 'events', id: 1, items: items(101), offset: 101 })
  expect(got).toEqual([])
  expect(wire().of('unsubscribe')).toEqual([{ op: 'unsubscribe', id: 1 }])
})

test('agents and fleet reach their readers, an error too', () => {
  const seen: unknown[] = []
  live.subscribe({ what: 'agents', filter: { q: 'x' }, on: (m) => seen.push(m), begin: () => seen.push('begin'), fail: (d) => seen.push(d) })
  live.subscribe({ what: 'fleet', filter: {}, on: (f, rows, total) => seen.push([f.agents_live, rows.length, total]) })
  live.start()
  wire().hello()
  wire().say({ op: 'agents', id: 1, items: [], gone: [{ space: 'main', id: 'x' }], snapshot: true, end: true, offset: 3 })
  wire().say({ op: 'fleet', id: 2, fleet: { agents_live: 4 }, attention: { items: [{}], total: 9 } })
  wire().say({ op: 'error', id: 1, code: 'syntax', detail: 'unknown field' })
  expect(seen).toEqual(['begin', { items: [], gone: [{ space: 'main', id: 'x' }], snapshot: true, end: true, offset: 3 }, [4, 1, 9], 'unknown field'])
})

test('says which agents are looked at, and again after it was cut off', () => {
  const sub = { what: 'agents' as const, filter: {}, on: () => {} }
  live.subscribe(sub)
  live.start()
  live.focus(sub, [{ space: 'main', id: 'early' }])
  wire().hello()
  expect(wire().of('focus')).toEqual([{ op: 'focus', id: 1, agents: [{ space: 'main', id: 'early' }] }])
  live.focus(sub, [{ space: 'main', id: 'a' }])
  expect(wire().of('focus').at(-1)).toEqual({ op: 'focus', id: 1, agents: [{ space: 'main', id: 'a' }] })
  wire().onclose?.({ code: 1006 })
  pass(60_000)
  wire().hello()
  expect(wire().sent.map((m) => m.op)).toEqual(['subscribe', 'focus', 'ping'])
  live.focus(sub, Array.from({ length: 600 }, (_, i) => ({ space: 'main', id: `a${i}` })))
  expect((wire().of('focus').at(-1) as { agents: unknown[] }).agents.length).toBe(512)
})
