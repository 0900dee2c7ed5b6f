import { useLayoutEffect, useState } from 'react'
import type { RefObject } from 'react'

export type Slice = { from: number; to: number }

/** The rows between top and bottom of what is visible, with some to spare. Pure, so that it can be tested. */
export function sliceOf(scrolled: number, height: number, row: number, count: number, spare = 12): Slice {
  const first = Math.floor(scrolled / row)
  const last = Math.ceil((scrolled + height) / row)
  // Steps of 4 rows, so that a scroll by some pixels renders nothing.
  const from = Math.max(0, Math.floor((first - spare) / 4) * 4)
  const to = Math.min(count, Math.ceil((last + spare) / 4) * 4)
  return { from: Math.min(from, count), to: Math.max(to, Math.min(from, count)) }
}

/** The element that scrolls around el: the page, or a box of its own. */
export function scrollerOf(el: HTMLElement | null): HTMLElement | null {
  return el?.closest<HTMLElement>('[data-scroll]') ?? null
}

/** Which of count rows of one height must be drawn; body is the element the rows fill. */
export function useVirtual(body: RefObject<HTMLElement | null>, row: number, count: number): Slice {
  const [slice, setSlice] = useState<Slice>({ from: 0, to: Math.min(count, 60) })
  useLayoutEffect(() => {
    const el = body.current
    const scroller = scrollerOf(el)
    if (!el || !scroller) return
    const measure = () => {
      const scrolled = scroller.getBoundingClientRect().top - el.getBoundingClientRect().top
      const next = sliceOf(scrolled, scroller.clientHeight, row, count)
      setSlice((old) => (old.from === next.from && old.to === next.to ? old : next))
    }
    measure()
    scroller.addEventListener('scroll', measure, { passive: true })
    const sizes = new ResizeObserver(measure)
    sizes.observe(scroller)
    sizes.observe(el.parentElement ?? el)
    return () => {
      scroller.removeEventListener('scroll', measure)
      sizes.disconnect()
    }
  }, [body, row, count])
  return { from: Math.min(slice.from, count), to: Math.min(slice.to, count) }
}

/** Scrolls so that row i is between head and bottom. */
export function reveal(body: HTMLElement | null, row: number, i: number, head: number): void {
  const scroller = scrollerOf(body)
  if (!body || !scroller) return
  const top = body.getBoundingClientRect().top - scroller.getBoundingClientRect().top + i * row
  if (top < head) scroller.scrollTop += top - head
  else if (top + row > scroller.clientHeight) scroller.scrollTop += top + row - scroller.clientHeight
}
