import { useEffect, useState } from 'react'
import { setParams, useParam } from '../../app/router'
import { now } from '../../store/clock'

const two = (n: number) => String(n).padStart(2, '0')

/** An instant as a field of date and time takes it: local, to the second. */
export function localText(ms: number): string {
  const d = new Date(ms)
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

/** Chooses the moment the page is of. It lives in the address, as at=. */
export function AsOf() {
  const at = useParam('at')
  const ms = /^\d+$/.test(at) ? Number(at) : 0
  const [text, setText] = useState('')
  useEffect(() => setText(ms ? localText(ms) : ''), [ms])
  const apply = () => {
    const t = Date.parse(text)
    if (Number.isFinite(t)) setParams({ at: String(Math.min(t, now())) }, false)
  }
  return (
    <form className="rowflow asof" onSubmit={(e) => { e.preventDefault(); apply() }}>
      <label className="rowflow"><span className="dim">as of</span>
        <input type="datetime-local" step={1} value={text} max={localText(now())} onChange={(e) => setText(e.target.value)} />
      </label>
      <button type="submit" disabled={text === ''}>Show</button>
    </form>
  )
}
