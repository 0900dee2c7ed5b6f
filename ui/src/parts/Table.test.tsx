import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { listenKeys } from '../app/keys'
import { json, tsv } from './copy'
import { shownColumns, Table } from './Table'
import type { Column } from './Table'
import { sliceOf } from './useVirtual'

type Item = { id: string; n: number }
const columns: Column<Item>[] = [
  { id: 'id', title: 'Id', width: 0, sort: true, cell: (r) => r.id, text: (r) => r.id },
  { id: 'n', title: 'N', width: 50, num: true, sort: true, cell: (r) => r.n, text: (r) => String(r.n), value: (r) => r.n },
  { id: 'wide', title: 'Wide', width: 50, from: 900, cell: () => 'w', text: () => 'w' },
  { id: 'off', title: 'Off', width: 50, off: true, cell: () => 'o', text: () => 'o' },
]
const items: Item[] = Array.from({ length: 500 }, (_, i) => ({ id: `r${i}`, n: i }))

beforeAll(() => {
  listenKeys()
})
afterEach(cleanup)

const table = (onOpen: (r: Item) => void, onSort = () => {}) => render(
  <Table id="t" label="Items" columns={columns} rows={items} rowKey={(r) => r.id} sort={{ by: 'id', desc: false }} onSort={onSort} onOpen={onOpen} empty={null} />,
)

test('only rows in sight exist, and the table says how many there are', () => {
  table(() => {})
  expect(document.querySelectorAll('tbody tr:not(.space)').length).toBeLessThan(100)
  expect(document.querySelector('table')?.getAttribute('aria-rowcount')).toBe('501')
})

test('j, k and Enter move and open', () => {
  const open = vi.fn()
  table(open)
  for (const key of ['j', 'j', 'j', 'k']) fireEvent.keyDown(document.body, { key })
  expect(document.querySelector('tr[aria-selected=true]')?.textContent).toContain('r1')
  fireEvent.keyDown(document.body, { key: 'Enter' })
  expect(open).toHaveBeenCalledWith(items[1])
})

test('a head sorts, numbers first from the top', () => {
  const sort = vi.fn()
  table(() => {}, sort)
  fireEvent.click(screen.getByRole('button', { name: 'N' }))
  expect(sort).toHaveBeenLastCalledWith({ by: 'n', desc: true })
  fireEvent.click(screen.getByRole('button', { name: /^Id/ }))
  expect(sort).toHaveBeenLastCalledWith({ by: 'id', desc: true })
})

test('columns follow the width until someone chooses', () => {
  expect(shownColumns(columns, undefined, 800).map((c) => c.id)).toEqual(['id', 'n'])
  expect(shownColumns(columns, undefined, 1000).map((c) => c.id)).toEqual(['id', 'n', 'wide'])
  expect(shownColumns(columns, ['off', 'id'], 100).map((c) => c.id)).toEqual(['id', 'off'])
})

test('the slice covers what is visible, in steps', () => {
  expect(sliceOf(0, 280, 28, 65_000)).toEqual({ from: 0, to: 24 })
  const { from, to } = sliceOf(28 * 1000, 280, 28, 65_000)
  expect(from).toBeLessThanOrEqual(1000)
  expect(to).toBeGreaterThanOrEqual(1010)
  expect(sliceOf(0, 280, 28, 3)).toEqual({ from: 0, to: 3 })
  expect(sliceOf(28 * 9000, 280, 28, 10)).toEqual({ from: 10, to: 10 })
})

test('copies hold every row, and no cell breaks a line', () => {
  const fields = [{ title: 'Id', text: (r: Item) => r.id }, { title: 'N', text: (r: Item) => String(r.n), value: (r: Item) => r.n }]
  expect(tsv(fields, [{ id: 'a\tb\nc', n: 1 }])).toBe('Id\tN\na b c\t1\n')
  expect(JSON.parse(json(fields, items))).toHaveLength(500)
  expect(JSON.parse(json(fields, [{ id: 'x', n: 1 }]))).toEqual([{ Id: 'x', N: 1 }])
})
