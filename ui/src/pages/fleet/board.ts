// The canvas of cells: keeps the picture of the fleet true with the least painting.
// A change of one agent repaints one cell; coming and going lays the groups out anew.
import { count, line } from '../../model/format'
import type { AgentKey, AgentView, Show } from '../../model/view'
import { cellAt, hit, layout } from './layout'
import type { Hit, Layout } from './layout'
import { blit, sprites } from './sprites'
import type { Sprites } from './sprites'

export type GroupBy = 'manager' | 'host' | 'version' | 'role' | 'state' | 'space' | 'model'
export const groupings: GroupBy[] = ['manager', 'host', 'version', 'role', 'model', 'state', 'space']

export function groupOf(a: AgentView, by: GroupBy): string {
  // A manager stands with its workers.
  if (by === 'manager') return a.manager || (a.workers > 0 ? a.id : '')
  if (by === 'state') return a.show
  return a[by]
}

export type Grouped = { names: { name: string; count: number }[]; order: AgentView[] }

/** Groups by size, then name; within a group by title, so that a cell keeps its place. */
export function group(rows: Iterable<AgentView>, by: GroupBy): Grouped {
  const groups = new Map<string, AgentView[]>()
  for (const a of rows) {
    if (a.show === 'ended') continue
    const name = groupOf(a, by)
    const got = groups.get(name)
    if (got) got.push(a)
    else groups.set(name, [a])
  }
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  const names = [...groups].toSorted(([a, x], [b, y]) => y.length - x.length || compare(a, b))
  const order: AgentView[] = []
  for (const [name, members] of names) {
    // The manager first, then its workers.
    members.sort((a, b) => Number(b.id === name) - Number(a.id === name) || compare(a.title, b.title) || compare(a.id, b.id))
    for (const a of members) order.push(a)
  }
  return { names: names.map(([name, members]) => ({ name, count: members.length })), order }
}

export class Board {
  private readonly canvas: HTMLCanvasElement
  private readonly c: CanvasRenderingContext2D
  private image: ImageData | null = null
  private pixels = new Uint32Array(0)
  private shapes: Sprites | null = null
  private plan: Layout = layout([], 1, 1)
  private order: AgentKey[] = []
  private at = new Map<AgentKey, number>()
  private xs = new Int32Array(0)
  private ys = new Int32Array(0)
  private drawn: Show[] = []
  private ratio = 1

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas
    const c = canvas.getContext('2d', { alpha: false })
    if (!c) throw new Error('this browser draws no canvas')
    this.c = c
  }

  /** Lays all cells out and paints everything. Returns the height in CSS px. */
  lay(grouped: Grouped, width: number, height: number): number {
    this.ratio = Math.min(2, Math.max(1, Math.round(devicePixelRatio)))
    this.plan = layout(grouped.names, width, height)
    const n = grouped.order.length
    this.order = grouped.order.map((a) => a.key)
    this.drawn = grouped.order.map((a) => a.show)
    this.at = new Map(this.order.map((key, i) => [key, i]))
    this.xs = new Int32Array(n)
    this.ys = new Int32Array(n)
    for (const g of this.plan.groups) {
      for (let i = g.first; i < g.first + g.count; i++) {
        const { x, y } = cellAt(this.plan, g, i)
        this.xs[i] = x * this.ratio
        this.ys[i] = y * this.ratio
      }
    }
    const pxW = Math.max(1, width * this.ratio)
    const pxH = Math.max(1, this.plan.height * this.ratio)
    if (this.canvas.width !== pxW || this.canvas.height !== pxH || !this.image) {
      this.canvas.width = pxW
      this.canvas.height = pxH
      this.image = this.c.createImageData(pxW, pxH)
      this.pixels = new Uint32Array(this.image.data.buffer)
    }
    this.paint()
    return this.plan.height
  }

  /** Paints all cells; also after a change of theme. */
  paint(): void {
    if (!this.image) return
    const style = getComputedStyle(document.documentElement)
    const size = Math.max(2, (this.plan.pitch - (this.plan.pitch > 5 ? 2 : 1)) * this.ratio)
    this.shapes = sprites(size, style)
    this.pixels.fill(this.shapes.background)
    for (let i = 0; i < this.order.length; i++) this.cell(i)
    this.c.putImageData(this.image, 0, 0)
    if (this.plan.labels) this.labels(style)
  }

  /** Repaints the cells of agents whose state changed. */
  update(changed: Iterable<AgentKey>, rows: ReadonlyMap<AgentKey, AgentView>): void {
    if (!this.image || !this.shapes) return
    const { size } = this.shapes
    const dirty: number[] = []
    for (const key of changed) {
      const i = this.at.get(key)
      const a = rows.get(key)
      if (i === undefined || !a || a.show === this.drawn[i]) continue
      this.drawn[i] = a.show
      this.cell(i)
      dirty.push(i)
    }
    if (dirty.length > 400) {
      this.c.putImageData(this.image, 0, 0)
      if (this.plan.labels) this.labels(getComputedStyle(document.documentElement))
      return
    }
    for (const i of dirty) this.c.putImageData(this.image, 0, 0, this.xs[i] ?? 0, this.ys[i] ?? 0, size, size)
  }

  hit(x: number, y: number): Hit | null {
    return hit(this.plan, x, y)
  }

  key(cell: number): AgentKey | undefined {
    return this.order[cell]
  }

  private cell(i: number): void {
    const show = this.drawn[i]
    if (!this.shapes || !this.image || !show) return
    blit(this.pixels, this.image.width, this.xs[i] ?? 0, this.ys[i] ?? 0, this.shapes.of[show], this.shapes.size)
  }

  private labels(style: CSSStyleDeclaration): void {
    const { c, ratio } = this
    c.save()
    c.scale(ratio, ratio)
    c.font = `11px ${style.getPropertyValue('--font')}`
    c.textBaseline = 'middle'
    const dim = style.getPropertyValue('--dim')
    const text = style.getPropertyValue('--text')
    const back = style.getPropertyValue('--surface')
    for (const g of this.plan.groups) {
      const n = count(g.count)
      const room = g.w - c.measureText(n).width - 8
      c.fillStyle = back
      c.fillRect(g.x, g.y, g.w, 14)
      c.fillStyle = text
      const name = this.fit(line(g.name, 40) || 'none', room)
      c.fillText(name, g.x, g.y + 7)
      c.fillStyle = dim
      c.fillText(n, g.x + c.measureText(name).width + 6, g.y + 7)
    }
    c.restore()
  }

  private fit(text: string, room: number): string {
    if (this.c.measureText(text).width <= room) return text
    let n = text.length
    while (n > 1 && this.c.measureText(text.slice(0, n) + '…').width > room) n--
    return text.slice(0, n) + '…'
  }
}
