// The page's single instances: session, live link, fleet. Composed here, read everywhere.
import { createStore } from 'zustand/vanilla'
import { Problem, whenUnauthorized } from '../api/http'
import { Live } from '../api/live'
import type { LinkState, Wire } from '../api/live'
import { signIn, signOut, takeKey, whoAmI } from '../api/session'
import { setSkew } from './clock'
import { FleetStore } from './fleet'
import { nextFrame } from './frames'

export type Session =
  | { state: 'asking' }
  | { state: 'out'; problem: string }
  | { state: 'unreachable'; problem: string }
  | { state: 'in'; role: string; space: string; name: string }

export const session = createStore<{ session: Session }>(() => ({ session: { state: 'asking' } }))

const setSession = (s: Session) => session.setState({ session: s })

function openWire(): Wire {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(`${scheme}//${location.host}/v1/live`, 'eyrie.live.v1') as unknown as Wire
}

export const link = createStore<LinkState>(() => ({ status: 'connecting', rtt: -1, skew: 0, heard: 0, retryAt: 0, attempts: 0, log: '', epoch: 0, loading: null }))

export const live = new Live({
  open: openWire,
  now: () => Date.now(),
  random: Math.random,
  after: (ms, fn) => {
    const id = setTimeout(fn, ms)
    return () => clearTimeout(id)
  },
  changed: (s) => {
    setSkew(s.skew)
    nextFrame(pushLink)
  },
  refused: () => {
    // A browser hides the status of a refused upgrade: ask over HTTP; 401 leads to the sign-in page.
    whoAmI().catch(() => {})
  },
})

const pushLink = () => link.setState(live.state)

export const fleet = new FleetStore()

function entered(who: { role?: string; space?: string; name?: string }): void {
  setSession({ state: 'in', role: who.role ?? '', space: who.space ?? '', name: who.name ?? '' })
  live.start()
}

async function ask(key: string): Promise<void> {
  try {
    entered(key ? await signIn(key) : await whoAmI())
  } catch (e) {
    const p = e instanceof Problem ? e : new Problem(0, 'unreachable', String(e))
    if (p.status === 401 || p.status === 403) setSession({ state: 'out', problem: key ? 'The server does not know this key.' : '' })
    else setSession({ state: 'unreachable', problem: p.message })
  }
}

/** Signs in with a key from the address or with the cookie kept from before. */
export function begin(): void {
  whenUnauthorized(() => {
    if (session.getState().session.state !== 'in') return
    live.stop()
    setSession({ state: 'out', problem: 'The session is over.' })
  })
  void ask(takeKey())
  addEventListener('online', () => live.retryNow())
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) live.probe()
  })
  addEventListener('hashchange', () => {
    const key = takeKey()
    if (key) void ask(key)
  })
}

export const enter = (key: string) => ask(key.trim())

export async function leave(): Promise<void> {
  live.stop()
  await signOut().catch(() => {})
  fleet.clear()
  setSession({ state: 'out', problem: '' })
}
