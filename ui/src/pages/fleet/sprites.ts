// The states' shapes as blocks of pixels, so that a cell is painted by copying numbers.
import { shows } from '../../model/view'
import type { Show } from '../../model/view'

export type Sprites = { size: number; background: number; of: Record<Show, Uint32Array> }

function draw(c: CanvasRenderingContext2D, show: Show, s: number): void {
  const m = s / 2
  const r = Math.max(1, m - (s > 8 ? 1.5 : 0.5))
  const thin = Math.max(1, s / 9)
  c.lineWidth = thin
  c.beginPath()
  switch (show) {
    case 'running':
      c.arc(m, m, r, 0, 7)
      c.fill()
      return
    case 'waiting':
      c.arc(m, m, r - thin / 2, 0, 7)
      c.stroke()
      c.beginPath()
      c.arc(m, m, r, -Math.PI / 2, Math.PI / 2)
      c.fill()
      return
    case 'idle':
      c.arc(m, m, r - thin / 2 - (s > 8 ? 0.5 : 0), 0, 7)
      c.stroke()
      return
    case 'stuck':
      c.moveTo(m, m - r)
      c.lineTo(m + r, m + r)
      c.lineTo(m - r, m + r)
      c.fill()
      return
    case 'silent':
      c.setLineDash([s / 5, s / 6])
      c.arc(m, m, r - thin / 2, 0, 7)
      c.stroke()
      return
    case 'failed':
      c.fillRect(m - r, m - r, r * 2, r * 2)
      return
    case 'unknown':
      c.rect(m - r, m - r, r * 2, r * 2)
      c.save()
      c.clip()
      for (let d = -s; d < s; d += Math.max(2, s / 4)) {
        c.moveTo(d, s)
        c.lineTo(d + s, 0)
      }
      c.stroke()
      c.restore()
      return
    case 'ended':
      c.fillRect(m - r, m - thin / 2, r * 2, thin)
  }
}

/** Shapes of size device pixels on the given background, in the theme's colours. */
export function sprites(size: number, style: CSSStyleDeclaration): Sprites {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = size
  const c = canvas.getContext('2d', { willReadFrequently: true })
  if (!c) throw new Error('this browser draws no canvas')
  const back = style.getPropertyValue('--surface')
  const pixels = () => new Uint32Array(c.getImageData(0, 0, size, size).data.buffer)
  c.fillStyle = back
  c.fillRect(0, 0, size, size)
  const background = pixels()[0] ?? 0
  const of = {} as Record<Show, Uint32Array>
  for (const show of shows) {
    c.setLineDash([])
    c.fillStyle = back
    c.fillRect(0, 0, size, size)
    c.fillStyle = c.strokeStyle = style.getPropertyValue(`--${show}`)
    draw(c, show, size)
    of[show] = pixels()
  }
  return { size, background, of }
}

/** Copies one sprite into the image at (x, y). */
export function blit(image: Uint32Array, width: number, x: number, y: number, sprite: Uint32Array, size: number): void {
  for (let row = 0, from = 0, to = y * width + x; row < size; row++, from += size, to += width) {
    for (let i = 0; i < size; i++) image[to + i] = sprite[from + i] as number
  }
}
