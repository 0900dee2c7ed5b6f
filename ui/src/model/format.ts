// Numbers, times and texts as people read them. Pure functions.
// A no-break space stands between number and unit.

const nb = '\u00a0'

export const none = '–'

/** Rounds to about three figures without an exponent: 1.24, 12.4, 124. */
function figures(x: number): string {
  const a = Math.abs(x)
  if (a >= 99.95) return x.toFixed(0)
  if (a >= 9.995) return x.toFixed(1)
  return x.toFixed(2)
}

/** 812, 12.4 k, 1.90 M. */
export function count(n: number): string {
  if (!Number.isFinite(n)) return none
  const a = Math.abs(n)
  if (a < 1000) return Number.isInteger(n) ? String(n) : figures(n)
  if (a < 999_500) return figures(n / 1e3) + nb + 'k'
  if (a < 999_500_000) return figures(n / 1e6) + nb + 'M'
  return figures(n / 1e9) + nb + 'G'
}

/** 0.4 ms, 340 ms, 1.24 s, 3 m 12 s, 2 h 05 m, 3 d 4 h. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return none
  if (ms < 0) return '−' + duration(-ms)
  if (ms === 0) return '0' + nb + 'ms'
  if (ms < 10) return Number(ms.toFixed(1)) + nb + 'ms'
  if (ms < 999.5) return ms.toFixed(0) + nb + 'ms'
  if (ms < 59_950) return figures(ms / 1e3) + nb + 's'
  const s = Math.round(ms / 1000)
  if (s < 3600) return `${Math.floor(s / 60)}${nb}m${nb}${String(s % 60).padStart(2, '0')}${nb}s`
  const m = Math.floor(s / 60)
  if (m < 1440) return `${Math.floor(m / 60)}${nb}h${nb}${String(m % 60).padStart(2, '0')}${nb}m`
  const h = Math.floor(m / 60)
  return `${Math.floor(h / 24)}${nb}d${nb}${h % 24}${nb}h`
}

/** One unit is enough for how long ago: now, 12 s, 3 m, 5 h, 2 d. */
export function span(ms: number): string {
  const s = Math.floor(Math.max(0, ms) / 1000)
  if (s < 60) return s + nb + 's'
  if (s < 3600) return Math.floor(s / 60) + nb + 'm'
  if (s < 86_400) return Math.floor(s / 3600) + nb + 'h'
  return Math.floor(s / 86_400) + nb + 'd'
}

/** "now" below a second, then "12 s ago". A time ahead of the clock reads "in 3 s". */
export function ago(at: number, now: number): string {
  if (!(at > 0)) return none
  const d = now - at
  if (d < -1000) return 'in ' + span(-d)
  return d < 1000 ? 'now' : span(d) + ' ago'
}

export type Quality = 'exact' | 'lower_bound' | 'estimated'

const mark: Record<Quality, string> = { exact: '', lower_bound: '≥' + nb, estimated: '≈' + nb }

/** $0.0312, $3.41, $1,204; "≥" before a lower bound, "≈" before an estimate. */
export function money(nanousd: number, quality: Quality = 'exact'): string {
  if (!Number.isFinite(nanousd)) return none
  const d = nanousd / 1e9
  const a = Math.abs(d)
  let text: string
  if (a === 0) text = '0.00'
  else if (a < 0.00005) return mark[quality] + '<' + nb + '$0.0001'
  else if (a < 1) text = a.toFixed(4)
  else if (a < 1000) text = a.toFixed(2)
  else text = Math.round(a).toLocaleString('en-US')
  return mark[quality] + (d < 0 ? '−$' : '$') + text
}

/** $0.53/h, $14.20/h: cents are enough for a rate. */
export function hourly(nanousd: number): string {
  return (nanousd > 0 && nanousd < 5e6 ? `<${nb}$0.01` : `$${(nanousd / 1e9).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`) + '/h'
}

/** What was spent; a model without a price costs something that nobody knows. */
export function cost(nanousd: number, quality: Quality, tokens: number): string {
  return nanousd === 0 && tokens > 0 ? 'unpriced' : money(nanousd, quality)
}

export function bounded(text: string, quality: Quality): string {
  return mark[quality] + text
}

/** 312 B, 12.4 kB, 1.90 MB, 1.52 TB. */
export function bytes(n: number): string {
  if (n < 1000) return n + nb + 'B'
  if (n < 999_500) return figures(n / 1e3) + nb + 'kB'
  if (n < 999_500_000) return figures(n / 1e6) + nb + 'MB'
  if (n < 999_500_000_000) return figures(n / 1e9) + nb + 'GB'
  return figures(n / 1e12) + nb + 'TB'
}

/** A share between 0 and 1: 0 %, 1.4 %, 31 %. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return none
  const p = share * 100
  return (p === 0 || p >= 9.95 ? p.toFixed(0) : p.toFixed(1)) + nb + '%'
}

/** 262/s, 1.90 M/h. */
export function rate(n: number, unit: 's' | 'h'): string {
  return count(unit === 's' && n < 10 ? Math.round(n * 10) / 10 : Math.round(n)) + '/' + unit
}

const two = (n: number) => String(n).padStart(2, '0')

/** 14:02:11.305 in local time. */
export function clock(ms: number, milli = true): string {
  const d = new Date(ms)
  const hms = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
  return milli ? hms + '.' + String(d.getMilliseconds()).padStart(3, '0') : hms
}

/** The exact instant for titles and copied text: 2026-02-09T14:02:11.305Z. */
export function exact(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : none
}

/** Today's times as a clock, others with their date. */
export function moment(ms: number, now: number): string {
  if (!(ms > 0)) return none
  const d = new Date(ms)
  const n = new Date(now)
  if (d.toDateString() === n.toDateString()) return clock(ms, false)
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`
  return `${day} ${two(d.getHours())}:${two(d.getMinutes())}`
}

// Control characters and direction overrides could forge a line or reorder its neighbours.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** One line of foreign text: no controls, no direction tricks, at most max characters. */
export function line(text: string, max = 240): string {
  const cut = text.length > max * 4 ? text.slice(0, max * 4) : text
  const flat = cut.replace(unsafe, (c) => (c === '\n' || c === '\t' || c === '\r' ? ' ' : '\ufffd'))
  return flat.length > max ? flat.slice(0, max - 1) + '…' : flat
}

/** A block of foreign text: line breaks stay, direction tricks do not. */
export function block(text: string): string {
  return text.replace(unsafe, (c) => (c === '\n' || c === '\t' ? c : c === '\r' ? '' : '\ufffd'))
}

/** The readable end of a long id. */
export function shortId(id: string): string {
  const flat = line(id, 64)
  if (flat.length <= 14) return flat
  // A UUID is known by its beginning, a worker by its session's and its own end.
  const uuid = /^([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(.*)$/i.exec(flat)
  const text = uuid ? `${uuid[1]}${uuid[2]}` : flat
  return text.length <= 18 ? text : text.slice(0, 13) + '…'
}
