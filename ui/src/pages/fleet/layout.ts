// Where each cell of the fleet's canvas lies. Pure: groups are blocks of cells, packed into shelves.

export type Group = { name: string; count: number }
export type Placed = { name: string; x: number; y: number; w: number; h: number; first: number; count: number; cols: number }
export type Layout = { pitch: number; labels: boolean; groups: Placed[]; shelves: { y: number; h: number; from: number; to: number }[]; height: number; total: number }

const pitches = [18, 16, 14, 12, 10, 8, 7, 6, 5, 4] as const
const labelHeight = 16
const labelWidth = 104
const labelledMax = 240

function pack(groups: readonly Group[], width: number, pitch: number, labels: boolean): Layout {
  const gapX = labels ? 16 : Math.max(3, pitch >> 1)
  const gapY = labels ? 8 : gapX
  const head = labels ? labelHeight : 0
  const placed: Placed[] = []
  const shelves: Layout['shelves'] = []
  const maxCols = Math.max(1, Math.floor(width / pitch))
  let x = 0
  let y = 0
  let shelf = { y: 0, h: 0, from: 0, to: 0 }
  let first = 0
  for (const g of groups) {
    // A block about three times as wide as high reads as one; never wider than the page.
    const cols = Math.min(maxCols, g.count, Math.max(labels ? Math.floor(labelWidth / pitch) : 1, Math.ceil(Math.sqrt(g.count * 3))))
    const rows = Math.ceil(g.count / Math.max(1, cols))
    const w = Math.min(width, Math.max(cols * pitch, labels ? labelWidth : 0))
    const h = head + rows * pitch
    if (x > 0 && x + w > width) {
      shelf.to = placed.length
      shelves.push(shelf)
      y += shelf.h + gapY
      x = 0
      shelf = { y, h: 0, from: placed.length, to: 0 }
    }
    placed.push({ name: g.name, x, y, w, h, first, count: g.count, cols: Math.max(1, cols) })
    first += g.count
    x += w + gapX
    shelf.h = Math.max(shelf.h, h)
  }
  if (placed.length > shelf.from) {
    shelf.to = placed.length
    shelves.push(shelf)
  }
  return { pitch, labels, groups: placed, shelves, height: y + shelf.h, total: first }
}

/** The largest cells with which all groups fit into width × height; the smallest may be higher and scroll. */
export function layout(groups: readonly Group[], width: number, height: number): Layout {
  const labels = groups.length <= labelledMax
  let last = pack(groups, width, pitches[0], labels)
  for (const pitch of pitches) {
    last = pack(groups, width, pitch, labels)
    if (last.height <= height) return last
  }
  return last
}

/** Top left of cell i of a group. */
export function cellAt(l: Layout, g: Placed, i: number): { x: number; y: number } {
  const k = i - g.first
  return { x: g.x + (k % g.cols) * l.pitch, y: g.y + (l.labels ? labelHeight : 0) + Math.floor(k / g.cols) * l.pitch }
}

export type Hit = { group: Placed; cell: number }

/** What lies under a point: a group and one of its cells, or -1 for its label. */
export function hit(l: Layout, px: number, py: number): Hit | null {
  let lo = 0
  let hi = l.shelves.length - 1
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1
    if ((l.shelves[mid]?.y ?? 0) <= py) lo = mid
    else hi = mid - 1
  }
  const shelf = l.shelves[lo]
  if (!shelf) return null
  for (let i = shelf.from; i < shelf.to; i++) {
    const g = l.groups[i]
    if (!g || px < g.x || px >= g.x + g.w || py < g.y || py >= g.y + g.h) continue
    const head = l.labels ? labelHeight : 0
    if (py < g.y + head) return { group: g, cell: -1 }
    const col = Math.floor((px - g.x) / l.pitch)
    if (col >= g.cols) return null
    const k = Math.floor((py - g.y - head) / l.pitch) * g.cols + col
    return k < g.count ? { group: g, cell: g.first + k } : null
  }
  return null
}
