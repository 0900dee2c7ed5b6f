// Requests to the server's REST surface. Errors carry the server's own words.

export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly field: string
  constructor(status: number, code: string, message: string, field = '') {
    super(message)
    this.status = status
    this.code = code
    this.field = field
  }
}

export type Params = Record<string, string | number | boolean | undefined>

export function query(params: Params): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') out.set(name, String(value))
  }
  const text = out.toString()
  return text && '?' + text
}

export const path = (...parts: string[]) => '/' + parts.map(encodeURIComponent).join('/')

let onUnauthorized = () => {}

/** Registers what happens when the server no longer knows our session. */
export function whenUnauthorized(fn: () => void): void {
  onUnauthorized = fn
}

const timeoutMs = 20_000

const viewsAgainMs = 1000

/** Waits unless the signal ends it. */
const pause = (ms: number, signal?: AbortSignal) => new Promise<void>((done, ended) => {
  const id = setTimeout(() => {
    signal?.removeEventListener('abort', end)
    done()
  }, ms)
  const end = () => {
    clearTimeout(id)
    ended(signal?.reason)
  }
  signal?.addEventListener('abort', end, { once: true })
})

/** What a server that has just started cannot answer yet is asked again: the frame says how far it is. */
async function call<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await once<T>(method, url, body, signal)
    } catch (e) {
      if (!(e instanceof Problem) || e.code !== 'views_loading' || method !== 'GET') throw e
      await pause(viewsAgainMs, signal)
    }
  }
}

async function once<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const init: RequestInit = {
    method,
    credentials: 'same-origin',
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    headers: body === undefined ? { accept: 'application/json' } : { accept: 'application/json', 'content-type': 'application/json' },
  }
  if (body !== undefined) init.body = JSON.stringify(body)
  let answer: Response
  try {
    answer = await fetch(url, init)
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new Problem(0, 'unreachable', timeout.aborted ? `no answer within ${timeoutMs / 1000} s` : 'the server does not answer')
  }
  if (answer.ok) return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T)
  const said = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string; field?: string }
  if (answer.status === 401) onUnauthorized()
  throw new Problem(answer.status, said.code ?? '', said.detail ?? said.title ?? `the server answered ${answer.status}`, said.field ?? '')
}

export const get = <T>(url: string, signal?: AbortSignal) => call<T>('GET', url, undefined, signal)
export const post = <T>(url: string, body: unknown) => call<T>('POST', url, body)
export const del = <T>(url: string) => call<T>('DELETE', url)

/** The beginning of a text, at most so many bytes of it. */
export async function text(url: string, most: number, signal?: AbortSignal): Promise<string> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const answer = await fetch(url, { credentials: 'same-origin', signal: signal ? AbortSignal.any([signal, timeout]) : timeout, headers: { range: `bytes=0-${most - 1}` } })
  if (answer.ok) return answer.text()
  if (answer.status === 401) onUnauthorized()
  const said = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string }
  throw new Problem(answer.status, said.code ?? '', said.detail ?? `the server answered ${answer.status}`)
}
