import { expect, test } from 'vitest'
import { blobsIn, previewOf } from './blob'

const a = 'a'.repeat(64)
const b = 'b'.repeat(64)

test('blobs are found at any depth, each once', () => {
  const value = { x: [{ $blob: a, size: 3, type: 'text/plain' }, { y: { $blob: b } }], again: { $blob: a } }
  expect(blobsIn(value)).toEqual([{ sum: a, size: 3, type: 'text/plain' }, { sum: b, size: null, type: '' }])
})

test('what only looks alike is none', () => {
  expect(blobsIn([{ $blob: a.toUpperCase() }, { $blob: a.slice(1) }, { $blob: 7 }, '$blob', null, 3, '{"$blob":"' + a + '"}'])).toEqual([])
  expect(blobsIn('text')).toEqual([])
})

test('only what cannot run is shown', () => {
  expect(previewOf('image/png')).toBe('image')
  expect(previewOf('text/plain; charset=utf-8')).toBe('text')
  expect(previewOf('text/html')).toBe('text') // as text, never as markup
  expect(previewOf('application/json')).toBe('text')
  expect(previewOf('image/svg+xml')).toBeNull()
  expect(previewOf('application/pdf')).toBeNull()
  expect(previewOf('')).toBeNull()
})
