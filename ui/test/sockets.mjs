// Real WebSocket clients against the product's engine: node test/sockets.mjs
// Starts `bin/eyrie bench echo --deflate` and has npm's ws, Chromium and
// Debian's python3-websockets and python3-autobahn send text, binary, fragments
// and compressed messages and close.
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { WebSocket } from 'ws'
import { launch } from './browser.mjs'

const binary = resolve(process.env.EYRIE ?? '../bin/eyrie')
let failed = 0
const check = (ok, text) => { if (!ok) failed++; console.log(`${ok ? 'ok    ' : 'FAILED'} ${text}`) }

const server = spawn(binary, ['bench', 'echo', '--deflate', '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] })
const url = await new Promise((done, no) => {
  let out = ''
  server.on('exit', () => no(new Error(`the server ended: ${out}`)))
  server.stdout.on('data', (b) => {
    const m = /ws:\S+\/echo/.exec(out += b)
    if (m) done(m[0])
  })
})

/** Sends everything at once and resolves with what came back and the close. */
function nodeClient(options, send, expect) {
  return new Promise((done) => {
    const s = new WebSocket(url, options)
    const got = []
    s.on('open', () => send(s))
    s.on('message', (data, isBinary) => {
      got.push(isBinary ? data : data.toString())
      if (got.length === expect) s.close(3001, 'bye')
    })
    s.on('error', (e) => done({ error: String(e), got }))
    s.on('close', (code) => done({ code, got, extensions: s.extensions }))
  })
}

async function npm() {
  const texts = ['', 'x', 'Grüße, 世界 🦅', 'long '.repeat(40_000)]
  const blobs = [Buffer.alloc(0), randomBytes(100_000), Buffer.alloc(4 << 20)]
  const deflate = (more) => ({ perMessageDeflate: { threshold: 0, ...more } })
  for (const [name, options] of [
    ['without compression', { perMessageDeflate: false }],
    ['with compression', deflate({})],
    ['with compression, no takeover', deflate({ serverNoContextTakeover: true, clientNoContextTakeover: true })],
    ['with windows of 9 bits', deflate({ serverMaxWindowBits: 9, clientMaxWindowBits: 9 })],
    ['with windows of 11 bits', deflate({ serverMaxWindowBits: 11, clientMaxWindowBits: true })],
  ]) {
    const r = await nodeClient(options, (s) => {
      for (const m of [...texts, ...blobs]) s.send(m)
      s.send('one ', { fin: false })
      s.send('two ', { fin: false })
      s.send('three', { fin: true })
    }, texts.length + blobs.length + 1)
    const same = texts.every((m, i) => r.got[i] === m) && blobs.every((m, i) => m.equals(r.got[texts.length + i] ?? ''))
    const agreed = options.perMessageDeflate ? r.extensions.startsWith('permessage-deflate') : r.extensions === ''
    check(same && r.got.at(-1) === 'one two three' && r.code === 3001 && agreed, `npm ws ${name}${r.error ? `: ${r.error}` : ''}`)
  }
  const bad = await nodeClient({ perMessageDeflate: false }, (s) => s.send(Buffer.from([0xed, 0xa0, 0x80]), { binary: false }), 1)
  check(bad.code === 1007, `npm ws: invalid UTF-8 is closed with ${bad.code}`)
}

async function chromium() {
  const browser = await launch()
  const page = await browser.newPage()
  const r = await page.evaluate((at) => new Promise((done) => {
    const s = new WebSocket(at)
    s.binaryType = 'arraybuffer'
    const blob = new Uint8Array(300_000).map((_, i) => (i * 7919) >> 5)
    const sent = ['', 'x', 'Grüße, 世界 🦅', 'long '.repeat(40_000), blob.buffer, new ArrayBuffer(2 << 20), 'end']
    const same = (a, b) => typeof a === 'string' ? a === b : a.byteLength === b.byteLength && new Uint8Array(a).every((x, i) => x === new Uint8Array(b)[i])
    let n = 0
    let wrong = 0
    s.onopen = () => { for (const m of sent) s.send(m) }
    s.onmessage = (e) => {
      if (!same(sent[n], e.data)) wrong++
      if (++n === sent.length) s.close(4000, 'bye')
    }
    s.onclose = (e) => done({ n, wrong, want: sent.length, code: e.code, clean: e.wasClean, extensions: s.extensions })
  }), url)
  await browser.close()
  check(r.n === r.want && r.wrong === 0 && r.code === 4000 && r.clean && r.extensions.startsWith('permessage-deflate'), `chromium: ${JSON.stringify(r)}`)
}

function python(lib) {
  const r = spawnSync('/usr/bin/python3', ['test/sockets.py', lib, url], { encoding: 'utf8', timeout: 120_000 })
  check(r.status === 0, `python3-${lib}${r.status === 0 ? '' : `: ${r.stderr || r.error}`}`)
}

try {
  await npm()
  await chromium()
  python('websockets')
  python('autobahn')
} finally {
  server.removeAllListeners('exit')
  server.kill()
}
console.log(`${failed} failed`)
process.exit(failed ? 1 : 0)
