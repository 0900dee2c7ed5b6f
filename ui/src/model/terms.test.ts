import { expect, test } from 'vitest'
import { fieldOf, withField } from './terms'

test.each([
  ['type:tool npm', 'type', 'tool'], ['agent:"a b"', 'agent', 'a b'], ['npm', 'type', ''], ['NOT type:tool', 'type', ''], ['-type:tool', 'type', ''],
  ['type:tool type:llm', 'type', ''], ['type:tool OR type:llm', 'type', ''], ['(type:tool)', 'type', ''], ['agent:w-*', 'agent', ''], ['n:1..2', 'n', ''], ['type:a,b', 'type', ''],
])('in %s the field %s is %s', (q, field, want) => {
  expect(fieldOf(q, field)).toBe(want)
})

test('a field is written anew', () => {
  expect(withField('npm type:tool', 'type', 'llm')).toBe('npm type:llm')
  expect(withField('type:tool npm', 'type', '')).toBe('npm')
  expect(withField('', 'agent', 'a "b" c')).toBe(String.raw`agent:"a \"b\" c"`)
  expect(fieldOf(withField('', 'agent', 'a "b" c'), 'agent')).toBe('a "b" c')
})
