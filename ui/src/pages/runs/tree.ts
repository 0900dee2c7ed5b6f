// A run's spans as rows of a waterfall. Pure.
import type { SpanView } from '../../model/view'

export type WaterRow = { span: SpanView; depth: number; children: number; folded: boolean; failedInside: boolean }

export const isBad = (s: SpanView) => s.status === 'error' || s.status === 'timeout'

export type Tree = { roots: SpanView[]; children: Map<string, SpanView[]>; failedInside: Set<string> }

/** Parents that were never seen make their children roots; circles are cut where they close. */
export function tree(spans: readonly SpanView[]): Tree {
  const by = new Map(spans.map((s) => [s.span, s]))
  const children = new Map<string, SpanView[]>()
  const roots: SpanView[] = []
  const anchored = new Map<string, boolean>()
  const reachesRoot = (s: SpanView): boolean => {
    const way: string[] = []
    const onWay = new Set<string>()
    let at: SpanView | undefined = s
    let answer = true
    while (at) {
      const known = anchored.get(at.span)
      if (known !== undefined) {
        answer = known
        break
      }
      if (onWay.has(at.span)) {
        answer = false
        break
      }
      onWay.add(at.span)
      way.push(at.span)
      at = by.get(at.parent)
    }
    for (const id of way) anchored.set(id, answer)
    return answer
  }
  for (const s of spans) {
    const parent = s.parent && s.parent !== s.span ? by.get(s.parent) : undefined
    if (!parent || !reachesRoot(s)) {
      roots.push(s)
      continue
    }
    const list = children.get(parent.span)
    if (list) list.push(s)
    else children.set(parent.span, [s])
  }
  const order = (a: SpanView, b: SpanView) => a.start - b.start || a.startOffset - b.startOffset
  roots.sort(order)
  for (const list of children.values()) list.sort(order)
  const failedInside = new Set<string>()
  for (const s of spans) {
    if (!isBad(s)) continue
    let at = by.get(s.parent)
    while (at && !failedInside.has(at.span)) {
      failedInside.add(at.span)
      at = by.get(at.parent)
    }
  }
  return { roots, children, failedInside }
}

/** The rows in sight of a reader: depth first, folded spans without what is below them. */
export function rows(t: Tree, folded: ReadonlySet<string>): WaterRow[] {
  const out: WaterRow[] = []
  const seen = new Set<string>()
  const stack = t.roots.toReversed().map((span) => ({ span, depth: 0 }))
  while (stack.length > 0) {
    const { span, depth } = stack.pop() as { span: SpanView; depth: number }
    if (seen.has(span.span)) continue
    seen.add(span.span)
    const below = t.children.get(span.span) ?? []
    const isFolded = folded.has(span.span)
    out.push({ span, depth, children: below.length, folded: isFolded, failedInside: t.failedInside.has(span.span) })
    if (!isFolded) for (let i = below.length - 1; i >= 0; i--) stack.push({ span: below[i] as SpanView, depth: depth + 1 })
  }
  return out
}
