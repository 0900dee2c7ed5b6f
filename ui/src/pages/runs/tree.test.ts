import { expect, test } from 'vitest'
import { spanView } from '../../test/factories'
import { rows, tree } from './tree'

const s = (span: string, parent = '', start = 0, status = 'ok') => spanView({ span, parent, start_ms: start + 1, status })
const names = (spans: ReturnType<typeof s>[], folded: string[] = []) => rows(tree(spans), new Set(folded)).map((r) => '-'.repeat(r.depth) + r.span.span)

test('depth first, by start', () => {
  expect(names([s('c', 'a', 3), s('a'), s('b', 'a', 1), s('d', 'b', 2)])).toEqual(['a', '-b', '--d', '-c'])
})

test('folded spans hide what is below', () => {
  expect(names([s('a'), s('b', 'a', 1), s('c', 'b', 2)], ['b'])).toEqual(['a', '-b'])
})

test('parents never seen, spans that are their own parent, circles: everything is shown once', () => {
  expect(names([s('x', 'lost'), s('y', 'y', 1)])).toEqual(['x', 'y'])
  expect(names([s('a', 'b'), s('b', 'a', 1), s('c', 'a', 2)]).map((n) => n.replaceAll('-', '')).toSorted()).toEqual(['a', 'b', 'c'])
})

test('a failure inside marks all above it', () => {
  const t = tree([s('a'), s('b', 'a'), s('c', 'b', 0, 'error'), s('d', 'a')])
  expect([...t.failedInside].toSorted()).toEqual(['a', 'b'])
})

test('ten thousand spans in depth and in width', () => {
  const deep = Array.from({ length: 10_000 }, (_, i) => s(`n${i}`, i ? `n${i - 1}` : '', i))
  expect(names(deep)).toHaveLength(10_000)
  const wide = Array.from({ length: 10_000 }, (_, i) => s(`n${i}`, i ? 'n0' : '', i))
  expect(names(wide)).toHaveLength(10_000)
})
