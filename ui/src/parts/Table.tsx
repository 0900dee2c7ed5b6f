// A table for any number of rows: sticky head, sort, choice of columns, rows by keyboard, copy as TSV or JSON.
// Rows have one height and only those in sight exist. The caller sorts.
import { memo, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { useStore } from 'zustand'
import { useKeys } from '../app/keys'
import { prefs, setColumns } from '../store/prefs'
import { copy, json, tsv } from './copy'
import { Menu } from './Menu'
import { reveal, useVirtual } from './useVirtual'

export type Column<T> = {
  id: string
  title: string
  cell: (row: T) => ReactNode
  /** The plain value for copying; money and times exact. */
  text: (row: T) => string
  value?: (row: T) => unknown
  /** px; 0 shares what is left. */
  width: number
  num?: boolean
  sort?: boolean
  /** Shown from this table width on. */
  from?: number
  /** Not shown until chosen. */
  off?: boolean
}

export type Sort = { by: string; desc: boolean }

const rowHeight = 28
const headHeight = 28

export function shownColumns<T>(all: readonly Column<T>[], chosen: string[] | undefined, width: number): Column<T>[] {
  if (chosen) return all.filter((c) => chosen.includes(c.id))
  return all.filter((c) => !c.off && width >= (c.from ?? 0))
}

type RowProps<T> = { row: T; columns: readonly Column<T>[]; index: number; selected: boolean; marked: boolean; onPick: (index: number, open: boolean) => void }

const Row = memo(function Row<T>({ row, columns, index, selected, marked, onPick }: RowProps<T>) {
  return (
    <tr
      aria-rowindex={index + 2} aria-selected={selected} className={marked ? 'marked' : undefined}
      onClick={(e) => {
        if ((e.target as HTMLElement).closest('a, button')) return
        if (getSelection()?.isCollapsed === false) return // text is being copied
        onPick(index, true)
      }}
    >
      {columns.map((c) => <td key={c.id} className={c.num ? 'num' : undefined}>{c.cell(row)}</td>)}
    </tr>
  )
}) as <T>(p: RowProps<T>) => ReactNode

export function Table<T>({ id, label, columns, rows, rowKey, sort, onSort, onOpen, tools, empty, marked, keys = true, onEnd, onSight, selectedKey, boxed = false }: {
  id: string
  label: string
  columns: readonly Column<T>[]
  rows: readonly T[]
  rowKey: (row: T) => string
  sort?: Sort
  onSort?: (sort: Sort) => void
  onOpen?: (row: T) => void
  tools?: ReactNode
  empty: ReactNode
  marked?: (row: T) => boolean
  /** Whether j, k and Enter of the page move here. */
  keys?: boolean
  /** The last rows came in sight. */
  onEnd?: () => void
  /** Told which rows are in sight, or nearly; none when the table goes. */
  onSight?: (rows: readonly T[]) => void
  selectedKey?: string
  /** Scrolls in a box of its own instead of with the page. */
  boxed?: boolean
}) {
  const chosen = useStore(prefs, (p) => p.columns[id])
  const box = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLTableSectionElement>(null)
  const [width, setWidth] = useState(1200)
  const [at, setAt] = useState('')
  const current = selectedKey ?? at
  const { from, to } = useVirtual(body, rowHeight, rows.length)
  const shown = shownColumns(columns, chosen, width)

  useLayoutEffect(() => {
    const el = box.current
    if (!el) return
    const sizes = new ResizeObserver(() => setWidth(el.clientWidth))
    sizes.observe(el)
    setWidth(el.clientWidth)
    return () => sizes.disconnect()
  }, [])

  useEffect(() => {
    if (to >= rows.length && rows.length > 0) onEnd?.()
  }, [to, rows.length, onEnd])

  useEffect(() => onSight?.(rows.slice(from, to)), [onSight, rows, from, to])
  useEffect(() => () => onSight?.([]), [onSight])

  const latest = useRef({ rows, rowKey, onOpen })
  latest.current = { rows, rowKey, onOpen }
  const pick = useCallback((index: number, open: boolean) => {
    const row = latest.current.rows[index]
    if (row === undefined) return
    setAt(latest.current.rowKey(row))
    if (open) latest.current.onOpen?.(row)
  }, [])

  const move = (by: number) => {
    const now = rows.findIndex((r) => rowKey(r) === current)
    const next = Math.max(0, Math.min(rows.length - 1, now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by))
    pick(next, selectedKey !== undefined)
    reveal(body.current, rowHeight, next, headHeight)
  }
  const open = () => {
    const row = rows.find((r) => rowKey(r) === current)
    if (row !== undefined) onOpen?.(row)
  }
  useKeys(keys ? { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), Enter: open } : {})

  const names = shown.map((c) => c.id)
  return (
    <div className="tablebox panel" ref={box}>
      <header>
        <h2>{label}</h2>
        <span className="grow rowflow">{tools}</span>
        <Menu
          label="Columns" stay className="quiet"
          choices={columns.map((c) => ({ id: c.id, word: c.title, checked: names.includes(c.id) }))}
          onChoose={(c) => setColumns(id, names.includes(c) ? names.filter((n) => n !== c) : columns.map((x) => x.id).filter((x) => x === c || names.includes(x)))}
        />
        <Menu
          label="Copy" className="quiet" choices={[{ id: 'tsv', word: 'as TSV' }, { id: 'json', word: 'as JSON' }]}
          onChoose={(c) => void copy((c === 'tsv' ? tsv : json)(shown, rows))}
        />
      </header>
      <div className={boxed ? 'boxed' : undefined} data-scroll={boxed ? '' : undefined} tabIndex={boxed ? -1 : undefined}>
      <table className="grid" aria-label={label} aria-rowcount={rows.length + 1} tabIndex={keys ? 0 : undefined}>
        <colgroup>{shown.map((c) => <col key={c.id} style={c.width ? { width: c.width } : undefined} />)}</colgroup>
        <thead>
          <tr>
            {shown.map((c) => (
              <th
                key={c.id} scope="col" className={c.num ? 'num' : undefined}
                aria-sort={sort?.by === c.id ? (sort.desc ? 'descending' : 'ascending') : undefined}
              >
                {c.sort && onSort ? (
                  <button type="button" onClick={() => onSort({ by: c.id, desc: sort?.by === c.id ? !sort.desc : c.num === true })}>
                    {c.title}<span aria-hidden="true">{sort?.by === c.id ? (sort.desc ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                ) : c.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {from > 0 ? <tr aria-hidden="true" className="space" style={{ height: from * rowHeight }}><td colSpan={shown.length} /></tr> : null}
          {rows.slice(from, to).map((row, i) => {
            const key = rowKey(row)
            return <Row key={key} row={row} columns={shown} index={from + i} selected={key === current} marked={marked?.(row) ?? false} onPick={pick} />
          })}
          {to < rows.length ? <tr aria-hidden="true" className="space" style={{ height: (rows.length - to) * rowHeight }}><td colSpan={shown.length} /></tr> : null}
        </tbody>
      </table>
      </div>
      {rows.length === 0 ? empty : null}
    </div>
  )
}
