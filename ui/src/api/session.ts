// Who we are to the server. The key itself is never kept: the server answers it with a cookie.
import { del, get, post } from './http'
import type { SessionShape } from './shape'

/** Takes a key out of the address (#key=…), so that it is neither shown nor kept in history. */
export function takeKey(): string {
  const match = /^#key=(.+)$/.exec(location.hash)
  if (!match?.[1]) return ''
  history.replaceState(history.state, '', location.pathname + location.search)
  try {
    return decodeURIComponent(match[1])
  } catch {
    return match[1]
  }
}

export const signIn = (key: string) => post<SessionShape>('/v1/session', { key })
export const signOut = () => del<void>('/v1/session')
export const whoAmI = () => get<SessionShape>('/v1/session')
