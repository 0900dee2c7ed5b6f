import { expect, test } from 'vitest'
import { hasWords, split, withField } from './terms'

const known = ['space', 'agent', 'type']

test('fields that are known, words, and the rest', () => {
  const t = split('type:tool agent:"a b" state:stuck npm -space:x type:llm "two words" OR n:[1..2]', known)
  expect([...t.fields]).toEqual([['type', 'tool'], ['agent', 'a b']])
  expect(t.words).toEqual(['npm', 'two words'])
  expect(t.rest).toEqual(['state:stuck', '-space:x', 'type:llm', 'OR', 'n:[1..2]'])
})

test('patterns and ranges are not plain values', () => {
  expect(split('agent:w-*', known).rest).toEqual(['agent:w-*'])
  expect(split('', known)).toMatchObject({ words: [], rest: [] })
})

test('a field is written anew', () => {
  expect(withField('npm type:tool', 'type', 'llm')).toBe('npm type:llm')
  expect(withField('type:tool npm', 'type', '')).toBe('npm')
  expect(withField('', 'agent', 'a "b" c')).toBe(String.raw`agent:"a \"b\" c"`)
  expect(split(withField('', 'agent', 'a "b" c'), known).fields.get('agent')).toBe('a "b" c')
})

test('words match whatever the case', () => {
  expect(hasWords(['NPM', 'test'], 'run npm Test')).toBe(true)
  expect(hasWords(['x'], 'y')).toBe(false)
})
