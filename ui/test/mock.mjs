// Serves the built pages and the API with sample data, under the content security policy of the server.
// node test/mock.mjs [--port 7690] [--agents 60] [--empty] [--calm]
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebSocketServer } from 'ws'
import { attentionOf, capacityOf, detailOf, fleetOf, makeAgents, makeEvents, makeSpans, random, seriesRange } from './sample.mjs'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const csp = "default-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

export function startMock({ port = 0, agents: n = 60, empty = false, calm = false } = {}) {
  const now = () => Date.now()
  const begun = now()
  const agents = empty ? [] : makeAgents(n, begun)
  const ended = empty ? [] : makeAgents(40, begun).map((a, i) => ({ ...a, id: `old-${i}`, show: 'ended', state: 'done', ended: true, ended_ms: begun - i * 600e3, last_ms: begun - i * 600e3, verdict: undefined, ask: undefined }))
  const byId = new Map([...agents, ...ended].map((a) => [a.id, a]))
  const spansOf = new Map()
  const spans = (id) => {
    if (!spansOf.has(id)) spansOf.set(id, byId.has(id) ? makeSpans(byId.get(id), 400, begun) : [])
    return spansOf.get(id)
  }
  const events = empty ? [] : makeEvents(agents, spans('m-1'), begun, 1500)
  let offset = 9000 + events.length
  const runs = empty ? [] : Array.from({ length: 40 }, (_, i) => {
    const a = agents[i % agents.length]
    const status = ['ok', 'ok', 'error', 'open', 'ok', 'interrupted'][i % 6]
    const dur = 40e3 + i * 31e3
    return { space: 'main', span: `run-${i + 1}`, run: `run-${i + 1}`, type: 'run', name: a.run.name, agent: a.id, status, open: status === 'open', start_ms: begun - 14.5 * 60e3 - i * 240e3, end_ms: status === 'open' ? undefined : begun - i * 240e3 + dur - 14.5 * 60e3, dur_ms: status === 'open' ? undefined : dur, agents: 1 + (i % 4), spans: 90 + i * 3, tools: 40 + i, errors: i % 6 === 2 ? 4 : 0, usage: { input_tokens: 9000 * i, output_tokens: 2100 * i, cache_read_tokens: 51000 * i, cost_nanousd: 81e6 * i, quality: i % 2 ? 'lower_bound' : 'exact' }, start_offset: 100 + i }
  })
  const runSpans = (id) => {
    const run = runs.find((r) => r.run === id)
    if (!run) return []
    const list = spans(run.agent).map((s) => ({ ...s, run: id, parent: s.type === 'task' ? run.span : s.parent }))
    const end = Math.max(...list.map((s) => s.end_ms ?? begun))
    return [{ ...run, start_ms: list[0]?.start_ms, end_ms: run.open ? undefined : end, dur_ms: run.open ? undefined : end - list[0].start_ms, children: 4 }, ...list]
  }
  let signedIn = !empty || true

  const page = (items, url) => {
    const limit = Number(url.searchParams.get('limit') ?? 100)
    const after = Number(url.searchParams.get('after') || 0)
    return { items: items.slice(after, after + limit), next: after + limit < items.length ? String(after + limit) : '', total: items.length }
  }
  const within = (list, url, at) => {
    const from = Number(url.searchParams.get('from_ms') || -Infinity)
    const to = Number(url.searchParams.get('to_ms') || Infinity)
    return list.filter((x) => at(x) >= from && at(x) <= to)
  }
  const equal = (list, url, ...fields) => list.filter((x) => fields.every((f) => !url.searchParams.get(f) || url.searchParams.get(f).split(',').includes(x[f])))
  const ordered = (list, url, at) => list.toSorted((x, y) => (url.searchParams.get('order') === 'asc' ? 1 : -1) * (at(x) - at(y)))

  // The past is as the present, with fewer agents: enough to tell them apart.
  const then = agents.slice(0, Math.ceil(agents.length / 2))
  const past = (url) => ({ at: Number(/^\d+$/.exec(url.searchParams.get('at'))?.[0] ?? begun - 3600e3), offset: 4711, partial: false })

  const api = (url, parts) => {
    const [, what, space, id] = parts
    if (what === 'state') return { ...fleetOf(then, [], 4711, past(url).at), ...past(url) }
    if (url.searchParams.get('at') && what === 'agents' && !id) return { ...page(ordered(url.searchParams.get('ended') === '1' ? [] : equal(then, url, 'state'), url, (a) => a.last_ms), url), ...past(url) }
    if (url.searchParams.get('at') && what === 'attention') return { items: attentionOf(then, past(url).at), total: attentionOf(then, past(url).at).length, ...past(url) }
    if (what === 'agents' && id) return byId.get(id)
    if (what === 'agents') return page(ordered(url.searchParams.get('ended') === '1' ? ended : agents, url, (a) => a.last_ms), url)
    if (what === 'fleet') return fleetOf(agents, ended, offset, now())
    if (what === 'attention') return { items: attentionOf(agents, now()), total: attentionOf(agents, now()).length }
    if (what === 'spans' && id) {
      const owner = [...byId.keys()].filter((k) => id.startsWith(k + '-')).toSorted((a, b) => b.length - a.length)[0]
      const s = spans(owner ?? '').find((x) => x.span === id) ?? runs.find((r) => r.span === id)
      return s && detailOf(s)
    }
    if (what === 'spans') {
      const run = url.searchParams.get('run')
      const list = run ? runSpans(run) : spans(url.searchParams.get('agent') ?? 'm-1')
      return page(ordered(within(equal(list, url, 'type', 'status'), url, (s) => s.start_ms), url, (s) => s.start_ms), url)
    }
    if (what === 'runs' && id) return runSpans(id)[0] && { ...runs.find((r) => r.run === id), ...runSpans(id)[0] }
    if (what === 'runs') return page(ordered(equal(runs, url, 'agent', 'status'), url, (r) => r.start_ms), url)
    if (what === 'events') return page(ordered(within(equal(events, url, 'agent', 'type', 'severity', 'run'), url, (e) => e.recv_ms), url, (e) => e.offset), url)
    if (what === 'series' && space === 'range') return seriesRange(url.searchParams.get('metric'), Number(url.searchParams.get('from_ms')), Number(url.searchParams.get('to_ms')), 200)
    if (what === 'series') return { items: [['cpu', '%'], ['memory', 'B']].map(([metric, unit]) => ({ metric, labels: {}, unit, last: 41, last_ms: now(), samples: 900 })).concat(['Bash', 'Read', 'Edit'].map((tool) => ({ metric: 'tool_latency_ms', labels: { tool }, unit: 'ms', last: 310, last_ms: now(), samples: 300 }))) }
    if (what === 'status') return { version: 'sample', commit: 'sample', log: { id: 'sample', epoch: 1, next: offset, first: 1, bytes: 81_200_000, disk_free: 42e9 }, views: [{ name: 'fleet', cursor: offset, lag: 0 }, { name: 'spans', cursor: offset, lag: 0 }], uptime_s: 4021, ready: true, reasons: [], agents: agents.length, events_total: offset, first_event: !empty, listeners: [{ name: 'ingest', addr: '127.0.0.1:7600' }, { name: 'web', addr: '127.0.0.1:7680' }], hostname: 'sample-host' }
    if (what === 'capacity') return capacityOf(url, empty)
    if (what === 'setup') {
      const key = 'ek_agent_SAMPLE0000000000'
      return { ingest_url: 'ws://127.0.0.1:7600/v1/agent', key, snippets: {
        claude_code: `EYRIE_KEY=${key} eyrie follow claude-code ~/.claude/projects`,
        watch: `EYRIE_KEY=${key} eyrie watch -- ./my-agent --task "sample"`,
        send: `EYRIE_KEY=${key} eyrie send --agent sample-1 --type message --msg "hello"`,
        curl: `curl -H "Authorization: Bearer ${key}" -H "content-type: application/json" \\\n  -d '{"events":[{"agent":"sample-1","type":"message","msg":"hello"}]}' \\\n  http://127.0.0.1:7600/v1/events`,
        python: `import json, urllib.request\n\nreq = urllib.request.Request(\n    "http://127.0.0.1:7600/v1/events",\n    data=json.dumps({"events": [{"agent": "sample-1", "type": "message", "msg": "hello"}]}).encode(),\n    headers={"Authorization": "Bearer ${key}", "content-type": "application/json"},\n)\nprint(urllib.request.urlopen(req).read())`,
      } }
    }
    return undefined
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://mock')
    const send = (status, body) => {
      res.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', 'cache-control': 'no-store' })
      res.end(JSON.stringify(body))
    }
    if (url.pathname === '/v1/session') {
      let body = ''
      for await (const chunk of req) body += chunk
      if (req.method === 'POST') {
        signedIn = JSON.parse(body).key !== 'wrong'
        if (signedIn) res.setHeader('set-cookie', 'eyrie_session=sample; HttpOnly; SameSite=Strict; Path=/')
      }
      const cookie = req.headers.cookie?.includes('eyrie_session=sample')
      if (req.method === 'DELETE') {
        res.setHeader('set-cookie', 'eyrie_session=; Max-Age=0; Path=/')
        return send(200, {})
      }
      return (req.method === 'POST' ? signedIn : cookie) ? send(200, { role: 'operator', space: '*', name: 'operator' }) : send(401, { status: 401, code: 'unauthorized', detail: 'no key' })
    }
    if (url.pathname.startsWith('/v1/')) {
      const got = api(url, url.pathname.slice(1).split('/').map(decodeURIComponent))
      return got ? send(200, got) : send(404, { status: 404, code: 'not_found', detail: 'there is nothing of that name' })
    }
    const name = normalize(extname(url.pathname) ? url.pathname : '/index.html')
    try {
      const body = await readFile(join(dist, name))
      res.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream', 'content-security-policy': csp, 'x-content-type-options': 'nosniff' })
      res.end(body)
    } catch {
      res.writeHead(404)
      res.end()
    }
  })

  const wss = new WebSocketServer({ server, path: '/v1/live', handleProtocols: () => 'eyrie.live.v1' })
  const rnd = random(3)
  wss.on('connection', (ws) => {
    const subs = new Map()
    const say = (m) => ws.readyState === 1 && ws.send(JSON.stringify(m))
    say({ op: 'hello', log: 'sample', epoch: 1, offset, clock_ms: now() })
    const snapshot = (s) => {
      while (s.sent < agents.length && s.credits > 0) {
        const items = agents.slice(s.sent, s.sent + Math.min(500, s.credits))
        s.sent += items.length
        s.credits -= items.length
        say({ op: 'agents', id: s.id, offset, items, gone: [], snapshot: true, end: s.sent >= agents.length })
      }
      if (agents.length === 0 && !s.told) {
        s.told = true
        say({ op: 'agents', id: s.id, offset, items: [], gone: [], snapshot: true, end: true })
      }
    }
    ws.on('message', (text) => {
      const m = JSON.parse(text)
      if (m.op === 'ping') say({ op: 'pong', t: m.t, clock_ms: now(), offset })
      if (m.op === 'unsubscribe') subs.delete(m.id)
      if (m.op === 'request' && subs.has(m.id)) {
        const s = subs.get(m.id)
        s.credits += m.n
        if (s.what === 'agents') snapshot(s)
      }
      if (m.op !== 'subscribe') return
      const s = { ...m, sent: 0 }
      subs.set(m.id, s)
      say({ op: 'subscribed', id: m.id, offset, recovered: true })
      if (m.what === 'agents') snapshot(s)
      if (m.what === 'fleet') say({ op: 'fleet', id: m.id, fleet: fleetOf(agents, ended, offset, now()), attention: { items: attentionOf(agents, now()).slice(0, 50), total: attentionOf(agents, now()).length } })
    })
    if (calm || empty) return
    let beat = 0
    const timer = setInterval(() => {
      beat++
      const moved = []
      const fresh = []
      for (let i = 0; i < Math.max(2, agents.length / 200); i++) {
        const a = agents[Math.floor(rnd() * agents.length)]
        if (a.show !== 'running') continue
        a.last_ms = now()
        a.counts.events++
        a.rate.events_15m[14]++
        moved.push(a)
        const e = { ...events[Math.floor(rnd() * events.length)], offset: ++offset, ts: now() - 3, recv_ms: now(), agent: a.id }
        fresh.push(e)
      }
      for (const s of subs.values()) {
        if (s.what === 'agents' && s.sent >= agents.length && moved.length && s.credits >= moved.length) {
          s.credits -= moved.length
          say({ op: 'agents', id: s.id, offset, items: moved, gone: [] })
        }
        const items = fresh.filter((e) => !s.filter?.agent || e.agent === s.filter.agent)
        if (s.what === 'events' && items.length && s.credits >= items.length) {
          s.credits -= items.length
          say({ op: 'events', id: s.id, items, offset })
        }
        if (s.what === 'fleet' && beat % 10 === 0) say({ op: 'fleet', id: s.id, fleet: fleetOf(agents, ended, offset, now()), attention: { items: attentionOf(agents, now()).slice(0, 50), total: attentionOf(agents, now()).length } })
      }
    }, 100)
    ws.on('close', () => clearInterval(timer))
  })
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve({
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => { for (const c of wss.clients) c.terminate() },
    close: () => new Promise((done) => { for (const c of wss.clients) c.terminate(); server.closeAllConnections(); server.close(done) }),
  })))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const arg = (name, otherwise) => { const i = process.argv.indexOf(`--${name}`); return i < 0 ? otherwise : Number(process.argv[i + 1]) }
  const { url } = await startMock({ port: arg('port', 7690), agents: arg('agents', 60), empty: process.argv.includes('--empty'), calm: process.argv.includes('--calm') })
  console.log(`sample data at ${url}/#key=sample`)
}
