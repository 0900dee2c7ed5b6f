// The address as state: page, query (q), window of time (t) and a page's own parameters.
import { useSyncExternalStore } from 'react'

export type Route =
  | { page: 'fleet' }
  | { page: 'agent'; space: string; id: string }
  | { page: 'runs' }
  | { page: 'run'; space: string; id: string }
  | { page: 'events' }
  | { page: 'capacity' }
  | { page: 'setup' }
  | { page: 'settings' }
  | { page: 'missing' }

export type Place = { path: string; route: Route; params: URLSearchParams }

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export function parseRoute(pathname: string): Route {
  const parts = pathname.split('/').slice(1).map(decode)
  const [head = '', a = '', b = ''] = parts
  if (parts.length === 1) {
    if (head === '') return { page: 'fleet' }
    if (head === 'runs' || head === 'events' || head === 'capacity' || head === 'setup' || head === 'settings') return { page: head }
  }
  if (parts.length === 3 && a && b) {
    if (head === 'agents') return { page: 'agent', space: a, id: b }
    if (head === 'runs') return { page: 'run', space: a, id: b }
  }
  return { page: 'missing' }
}

function read(): Place {
  return { path: location.pathname, route: parseRoute(location.pathname), params: new URLSearchParams(location.search) }
}

let place = read()
const readers = new Set<() => void>()

function update(): void {
  place = read()
  for (const fn of readers) fn()
}
addEventListener('popstate', update)

export const here = () => place

export const usePlace = () =>
  useSyncExternalStore(
    (fn) => {
      readers.add(fn)
      return () => readers.delete(fn)
    },
    () => place,
  )

/** One parameter of the address. */
export const useParam = (name: string) => usePlace().params.get(name) ?? ''

export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return
  history[replace ? 'replaceState' : 'pushState'](null, '', to)
  update()
}

/** Another page keeps the window of time; the query stays only where it is asked to. */
export function to(path: string, params: Record<string, string> = {}): string {
  const out = new URLSearchParams()
  const t = place.params.get('t')
  if (t) out.set('t', t)
  for (const [k, v] of Object.entries(params)) {
    if (v === '') out.delete(k)
    else out.set(k, v)
  }
  const text = out.toString()
  return path + (text && '?' + text)
}

/** Changes parameters of this page; '' removes one. */
export function setParams(change: Record<string, string>, replace = true): void {
  const out = new URLSearchParams(location.search)
  for (const [k, v] of Object.entries(change)) {
    if (v === '') out.delete(k)
    else out.set(k, v)
  }
  const text = out.toString()
  go(location.pathname + (text && '?' + text), replace)
}

const part = encodeURIComponent
export const agentPath = (space: string, id: string) => `/agents/${part(space)}/${part(id)}`
export const runPath = (space: string, id: string) => `/runs/${part(space)}/${part(id)}`
