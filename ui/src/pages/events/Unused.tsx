import { line } from '../../model/format'

/** Parts of the query that this page's list cannot take are named, not ignored. */
export function Unused({ rest, known }: { rest: readonly string[]; known: readonly string[] }) {
  if (rest.length === 0) return null
  return (
    <div className="problem" role="status">
      <span>Not applied here: <code>{line(rest.join(' '), 160)}</code>. <span className="dim">This list takes {known.join(', ')} with one plain value each, and free words over the rows that are loaded.</span></span>
    </div>
  )
}
