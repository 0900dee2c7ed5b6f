// Foreign text and living times.
import { useStore } from 'zustand'
import { ago, exact, line, moment, shortId, span } from '../model/format'
import { clock } from '../store/clock'

/** One line of foreign text: inert, isolated in direction, cut. */
export function Line({ text, max = 240, className = 'cut' }: { text: string; max?: number; className?: string }) {
  const flat = line(text, max)
  return <bdi className={className} title={flat.length < text.length || flat.length > 24 ? line(text, 1000) : undefined}>{flat}</bdi>
}

export function Id({ id, full = false }: { id: string; full?: boolean }) {
  return <bdi className="mono" title={line(id, 200)}>{full ? line(id, 200) : shortId(id)}</bdi>
}

/** "12 s ago", kept true; the exact time on hover. */
export function Ago({ at }: { at: number }) {
  const text = useStore(clock, (c) => ago(at, c.now))
  return <time className="nowrap" title={at > 0 ? exact(at) : undefined}>{text}</time>
}

/** How long something has lasted: "11 m". */
export function Since({ at }: { at: number }) {
  const text = useStore(clock, (c) => (at > 0 ? span(c.now - at) : ''))
  return <time className="nowrap" title={at > 0 ? exact(at) : undefined}>{text}</time>
}

export function Moment({ at }: { at: number }) {
  const text = useStore(clock, (c) => moment(at, c.now))
  return <time className="nowrap" title={at > 0 ? exact(at) : undefined}>{text}</time>
}
