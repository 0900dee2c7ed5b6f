// A payload as text, never as markup. Long ones are cut until asked for.
import { useState } from 'react'
import { block, bytes } from '../model/format'
import { blobsIn } from '../model/blob'
import { BlobRow } from './BlobRow'
import { CopyButton } from './Copy'

const shownMax = 6000

export function pretty(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value, null, 2) ?? ''
  const first = value.trimStart()[0]
  if (first === '{' || first === '[') {
    try {
      return JSON.stringify(JSON.parse(value), null, 2)
    } catch {
      return value // only looks like JSON
    }
  }
  return value
}

/** space is where the blobs are that the value names. */
export function Payload({ title, value, space = '' }: { title: string; value: unknown; space?: string }) {
  const [all, setAll] = useState(false)
  if (value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)) return null
  const text = pretty(value)
  const cut = !all && text.length > shownMax
  return (
    <section className="payload">
      <header><h3>{title}</h3><span className="faint small">{bytes(new Blob([text]).size)}</span><span className="grow" /><CopyButton text={() => text} /></header>
      <pre tabIndex={0} aria-label={title}>{block(cut ? text.slice(0, shownMax) + '…' : text)}</pre>
      {blobsIn(value).map((b) => <BlobRow key={b.sum} space={space} blob={b} />)}
      {cut ? <button type="button" className="quiet" onClick={() => setAll(true)}>Show all of it</button> : null}
    </section>
  )
}
