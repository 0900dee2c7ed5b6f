// The window of time of a page: the parameter t holds nothing (live), a length (15m, 6h, 7d) or from..to in ms.

export type Window = { kind: 'default' } | { kind: 'last'; ms: number; text: string } | { kind: 'range'; from: number; to: number }

const units: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

export const lengths = [
  { t: '15m', word: 'last 15 m' },
  { t: '1h', word: 'last 1 h' },
  { t: '6h', word: 'last 6 h' },
  { t: '24h', word: 'last 24 h' },
  { t: '7d', word: 'last 7 d' },
] as const

export function parseWindow(t: string): Window {
  const last = /^(\d{1,4})([mhd])$/.exec(t)
  if (last) return { kind: 'last', ms: Number(last[1]) * (units[last[2] ?? ''] ?? 0), text: `last ${last[1]} ${last[2]}` }
  const range = /^(\d{1,16})\.\.(\d{1,16})$/.exec(t)
  if (range && Number(range[1]) < Number(range[2])) return { kind: 'range', from: Number(range[1]), to: Number(range[2]) }
  return { kind: 'default' }
}

export const rangeParam = (from: number, to: number) => `${Math.floor(from)}..${Math.ceil(to)}`

/** Bounds in ms; empty for the default window. */
export function bounds(w: Window, now: number): { from?: number; to?: number } {
  if (w.kind === 'last') return { from: Math.floor(now - w.ms) }
  if (w.kind === 'range') return { from: w.from, to: w.to }
  return {}
}
