// Sample data for the mock server: made from a seed, never measured. Names say that they are samples.
import { readFileSync } from 'node:fs'

export function random(seed) {
  let s = seed >>> 0
  return () => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = Math.imul(s ^ (s >>> 15), 1 | s)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const roles = ['Explore', 'reviewer', 'tester', 'writer', 'planner', 'migrator']
const tools = ['Bash', 'Read', 'Edit', 'Grep', 'WebFetch', 'Glob']
const tasks = ['fix flaky test in sample-api', 'raise coverage of the parser', 'move the sample shop to v2', 'read the incident notes', 'write the changelog', 'find the slow query']
const models = ['sample-large-4', 'sample-small-4']
export const hostile = '<img src=x onerror=alert(1)> \u202egnp.exe "><script>alert(2)</script>'

const showOf = (r) => (r < 0.58 ? 'running' : r < 0.64 ? 'waiting' : r < 0.86 ? 'idle' : r < 0.89 ? 'stuck' : r < 0.95 ? 'silent' : r < 0.98 ? 'failed' : 'unknown')

export function makeAgents(n, now) {
  const rnd = random(7)
  const out = []
  const managers = Math.max(3, Math.round(n / 9))
  for (let i = 0; i < n; i++) {
    const manager = i < managers ? undefined : `m-${1 + Math.floor(rnd() ** 1.7 * managers)}`
    const id = i < managers ? `m-${i + 1}` : `w-${i - managers + 1}`
    const show = i === managers + 8 ? 'waiting' : showOf(rnd())
    const since = now - Math.floor(rnd() * 40 * 60e3) - 2000
    const name = i % 7 === 3 ? `sample@build-${1 + (i % 5)}:shop` : undefined
    const llm = Math.floor(rnd() * 90)
    const a = {
      space: 'main', id, name, role: manager ? roles[Math.floor(rnd() * roles.length)] : 'manager',
      host: `build-${1 + (i % 6)}`, version: ['2.1.37', '2.1.40', '2.2.0'][i % 3], model: models[i % 2], manager, kind: 'sample',
      state: show === 'stuck' || show === 'silent' || show === 'unknown' ? 'running' : show === 'failed' ? 'failed' : show,
      on: show === 'waiting' ? 'person' : show === 'running' && rnd() < 0.3 ? 'tool' : undefined,
      state_by: 'hook', state_since_ms: since, show,
      task: show === 'idle' ? undefined : { span: `t-${i}`, name: tasks[i % tasks.length], since_ms: since - 60e3, from: manager },
      run: { id: `run-${1 + (i % 40)}`, name: tasks[(i * 3) % tasks.length] },
      first_ms: now - 3 * 3600e3 + i, last_ms: show === 'silent' ? now - 3 * 60e3 - i * 100 : now - Math.floor(rnd() * (show === 'idle' ? 900e3 : 20e3)),
      ended: false, heartbeat_ms: show === 'silent' ? 30000 : undefined, links: 1, workers: 0, labels: { team: 'sample', repo: 'shop' },
      counts: { events: 40 + Math.floor(rnd() * 4000), runs: 2, tasks: 3, llm, tools: llm * 3, asks: 1, messages: llm, errors: show === 'failed' ? 4 : 0, failed_calls: Math.floor(rnd() ** 3 * 14), denied: i % 9 === 0 ? 1 : 0, cancelled: 0, shed: 0 },
      usage: { input_tokens: llm * 900, output_tokens: llm * 310, cache_read_tokens: llm * 18000, cache_write_tokens: llm * 2000, reasoning_tokens: 0, cost_nanousd: Math.floor(llm * 41e6 * rnd()), quality: i % 4 === 0 ? 'lower_bound' : 'exact' },
      rate: { events_15m: Array.from({ length: 15 }, () => (show === 'idle' ? 0 : Math.floor(rnd() ** 2 * 60))), cost_nanousd_h: show === 'idle' ? 0 : Math.floor(rnd() * 1.2e9) },
      open: { tools: show === 'running' ? 1 : 0, llm: 0, tasks: 1 },
    }
    if (show === 'stuck') a.verdict = { kind: 'stuck', rule: 'repetition', reason: 'the same tool call 6 times in 4 m: Bash "npm test"', since_ms: since, evidence: [8120 + i, 8133 + i, 8150 + i, 8161 + i, 8190 + i, 8204 + i] }
    if (show === 'silent') a.verdict = { kind: 'silent', rule: 'heartbeat', reason: 'silent for 3 m, promised a heartbeat each 30 s', since_ms: a.last_ms + 30e3, evidence: [7700 + i] }
    if (show === 'unknown') a.verdict = { kind: 'unknown', rule: 'link', reason: 'its link closed without a word', since_ms: since, evidence: [] }
    if (show === 'waiting') a.ask = { span: `ask-${i}`, name: 'permission', msg: 'run db migration?', kind: 'permission', since_ms: since }
    out.push(a)
  }
  const byId = new Map(out.map((a) => [a.id, a]))
  for (const a of out) if (a.manager) byId.get(a.manager).workers++
  if (out[5]) Object.assign(out[5], { name: hostile, role: hostile })
  return out
}

export function attentionOf(agents, now) {
  const rows = []
  for (const a of agents) {
    const at = { agent: a, burn_nanousd_h: a.rate.cost_nanousd_h, run: a.run.id, evidence: a.verdict?.evidence ?? [] }
    if (a.show === 'waiting') rows.push({ ...at, kind: 'asks', title: a.ask.msg, detail: '', span: a.ask.span, since_ms: a.ask.since_ms })
    if (a.show === 'stuck') rows.push({ ...at, kind: 'stuck', title: 'Bash "npm test" ×6 in 4 m', detail: '', since_ms: a.verdict.since_ms })
    if (a.show === 'failed') rows.push({ ...at, kind: 'failed', title: 'rate limit', detail: '3 children completed', since_ms: a.state_since_ms })
    if (a.show === 'silent') rows.push({ ...at, kind: 'silent', title: a.verdict.reason, detail: '', since_ms: a.verdict.since_ms })
  }
  for (const r of rows) { r.age_ms = now - r.since_ms; r.score = (r.age_ms / 60e3) * (1 + r.burn_nanousd_h / 1e9) }
  return rows.toSorted((x, y) => y.score - x.score)
}

export function fleetOf(agents, ended, offset, now) {
  const by = {}
  let burn = 0
  for (const a of agents) { by[a.show] = (by[a.show] ?? 0) + 1; burn += a.rate.cost_nanousd_h }
  return { agents_live: agents.length, agents_ended: ended.length, by_show: by, events_per_s: agents.length * 7.3, tokens_per_h: agents.length * 52_300, cost_nanousd_h: burn, failed_call_share: 0.014, attention: attentionOf(agents, now).length, offset, clock_ms: now }
}

const json = { command: 'npm test -- --run parser', timeout: 120000, description: 'Run the sample tests' }

export function makeSpans(agent, n, now) {
  const rnd = random(agent.id.length * 31 + agent.id.charCodeAt(agent.id.length - 1))
  const out = []
  const begin = now - 14.5 * 60e3
  let t = begin
  let offset = 4000
  let task
  let k = 0
  while (t < now - 3000 && out.length < n) {
    if (!task || t > task.end_ms) {
      const dur = 3 * 60e3 + rnd() * 150e3
      task = { space: 'main', span: `${agent.id}-task-${k}`, parent: `${agent.id}-run`, type: 'task', name: tasks[k % tasks.length], agent: agent.id, run: agent.run.id, status: 'ok', open: false, start_ms: t, end_ms: t + dur, dur_ms: dur, start_offset: offset++, end_offset: offset++, children: 9 }
      if (t + dur > now) Object.assign(task, { status: 'open', open: true, end_ms: undefined, dur_ms: undefined })
      out.push(task)
      k++
    }
    const ll = 1500 + rnd() * 9000
    const llm = { space: 'main', span: `${agent.id}-llm-${out.length}`, parent: task.span, type: 'llm', name: agent.model, agent: agent.id, run: agent.run.id, status: 'ok', open: false, start_ms: t, end_ms: t + ll, dur_ms: ll, usage: { model: agent.model, input_tokens: 1200, output_tokens: Math.floor(ll / 12), cache_read_tokens: 21000, cost_nanousd: Math.floor(ll * 3100), quality: 'lower_bound' }, start_offset: offset++, end_offset: offset++, children: 0 }
    out.push(llm)
    t += ll + 80
    for (let j = 0, m = Math.floor(rnd() * 3.4); j < m; j++) {
      const d = rnd() < 0.15 ? 8000 + rnd() * 20000 : 60 + rnd() * 2500
      const r = rnd()
      const status = r < 0.08 ? 'error' : r < 0.1 ? 'denied' : r < 0.12 ? 'cancelled' : 'ok'
      const name = tools[Math.floor(rnd() * tools.length)]
      const tool = { space: 'main', span: `${agent.id}-tool-${out.length}`, parent: task.span, type: 'tool', name, agent: agent.id, run: agent.run.id, status, open: false, start_ms: t, end_ms: t + d, dur_ms: d, msg: `${name} ${json.command}`, error: status === 'error' ? { code: 'exit_1', msg: 'Command failed with exit code 1: 2 tests failed' } : undefined, attempt: status === 'error' ? 2 : undefined, start_offset: offset++, end_offset: offset++, children: 0 }
      if (t + d > now - 2500) Object.assign(tool, { open: true, status: 'open', end_ms: undefined, dur_ms: undefined })
      out.push(tool)
      if (rnd() < 0.7) t += d + 40
    }
    t += 300 + rnd() * 4000
  }
  return out
}

export const detailOf = (s) => ({
  ...s,
  input: s.type === 'tool' ? json : `Read the failing test and say what it expects.\n${hostile}`,
  output: s.type === 'tool' ? `> sample-api@1.0.0 test\n> vitest run parser\n\n ✓ reads a header (3 ms)\n ✗ keeps a trailing comma\n   expected [1,2] to equal [1,2,]\n\n${hostile}` : 'The test expects that a trailing comma is kept.',
  attrs: { 'gen_ai.request.model': s.usage?.model ?? 'sample-large-4', cwd: '/srv/shop', 'process.exit.code': s.status === 'error' ? 1 : 0 },
  links: [],
})

export function makeEvents(agents, spans, now, n) {
  const rnd = random(99)
  const out = []
  for (let i = 0; i < n; i++) {
    const a = agents[Math.floor(rnd() * Math.min(agents.length, 60))]
    const s = spans[Math.floor(rnd() * spans.length)]
    const at = now - (n - i) * 900
    const base = { offset: 9000 + i, recv_ms: at + 4, ts: at, space: 'main', agent: a.id, phase: 'whole', severity: 'info', run: a.run.id }
    const kind = rnd()
    if (kind < 0.35) out.push({ ...base, type: 'tool', phase: 'end', name: s.name, msg: s.msg ?? json.command, status: s.status, span: s.span, dur_ms: s.dur_ms, severity: s.status === 'error' ? 'error' : 'info', input: json })
    else if (kind < 0.6) out.push({ ...base, type: 'llm', name: a.model, usage: { output_tokens: 412, cost_nanousd: 31200000, quality: 'exact' }, span: s.span })
    else if (kind < 0.78) out.push({ ...base, type: 'message', kind: 'text', msg: i % 11 === 0 ? hostile : 'I read the test. It expects a trailing comma to be kept, so the parser must not drop it.', to: a.manager })
    else if (kind < 0.9) out.push({ ...base, type: 'metrics', name: 'process', metrics: { cpu: Number((rnd() * 90).toFixed(1)), memory: Math.floor(4e8 + rnd() * 2e8) } })
    else if (kind < 0.96) out.push({ ...base, type: 'state', state: { state: 'waiting', on: 'tool' }, severity: 'debug' })
    else out.push({ ...base, type: 'log', severity: 'warn', msg: 'retrying after 429 from the model provider' })
  }
  return out
}

export function seriesRange(metric, from, to, points) {
  const rnd = random(metric.length * 17)
  const step = Math.max(1000, Math.floor((to - from) / points))
  const wave = (phase, high) => {
    const t = []
    const avg = []
    const min = []
    const max = []
    let v = 0.5
    for (let i = 0; i < points; i++) {
      v = Math.max(0, Math.min(1, v + (rnd() - 0.5) * 0.12))
      if (i > points * 0.42 && i < points * 0.5) continue // nothing was sent here
      const x = (0.35 + 0.3 * Math.sin(i / 19 + phase) + 0.35 * v) * high
      t.push(from + i * step)
      avg.push(x)
      min.push(x * 0.86)
      max.push(x * 1.12)
    }
    return { t, avg, min, max }
  }
  if (metric === 'cpu') return { step_ms: step, series: [{ metric, labels: {}, ...wave(0, 90) }] }
  if (metric === 'memory') return { step_ms: step, series: [{ metric, labels: {}, ...wave(2, 6.2e8) }] }
  return { step_ms: step, series: ['Bash', 'Read', 'Edit'].map((tool, i) => ({ metric, labels: { tool }, ...wave(i * 2, 900 + 400 * i) })) }
}

const recorded = JSON.parse(readFileSync(new URL('capacity.json', import.meta.url), 'utf8'))

/** What a server under load answered once, for so many times as much: enough to see what moves. */
export function capacityOf(url, empty) {
  const times = Number(url.searchParams.get('times') ?? 1)
  const agents = Number(url.searchParams.get('agents') ?? recorded.answer.load.agents)
  const a = recorded.answer
  if (empty) return { ...recorded, live: null, busiest: null, today: { days: 30 }, answer: { ...a, load: { days: 30 }, limits: [], max_times: 0, first_limit: '', disk_days: 0, disk_bytes_per_day: 0, needs: [], unanswered: [] } }
  return {
    ...recorded, times, of: url.searchParams.get('of') ?? 'now',
    answer: {
      ...a, load: { ...a.load, agents: agents * times }, max_times: a.max_times / times, disk_bytes_per_day: a.disk_bytes_per_day * times, disk_days: a.disk_days / times,
      limits: a.limits.map((l) => ({ ...l, times: l.times / times })),
      needs: a.needs.map((n) => ({ ...n, value: n.value * times, parts: n.parts?.map((p) => ({ ...p, value: p.value * times })) })),
      price: url.searchParams.get('price') ? { month: 80, hosts: 2, per_connection: 0.0025, per_million_events: 0.0009, per_connection_full: 0.0019 } : undefined,
    },
  }
}
