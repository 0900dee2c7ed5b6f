import { cleanup, render } from '@testing-library/react'
import { afterEach, expect, test } from 'vitest'
import { Spark, sparkPath } from './Spark'

afterEach(cleanup)

test('one bar for each value, the highest fills the height', () => {
  const path = sparkPath([0, 5, 10])
  expect(path.match(/M/g)).toHaveLength(3)
  expect(path).toContain('v-16.00')
  expect(path).toContain('v-8.00')
})

test('zero is a hairline, no data is said', () => {
  expect(sparkPath([0, 0])).toContain('v-0.75')
  expect(render(<Spark values={[]} label="none" />).container.textContent).toBe('no data')
})
