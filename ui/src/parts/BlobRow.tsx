// A value that is kept apart: a link to it, and what it looks like when asked for.
import { useState } from 'react'
import { path, query, text } from '../api/http'
import { type BlobName, describe, previewOf } from '../model/blob'
import { block } from '../model/format'
import { Failed, Loading } from './Notice'
import { useLoad } from './useLoad'

const shownMax = 256 * 1024

export function BlobRow({ space, blob }: { space: string; blob: BlobName }) {
  const [open, setOpen] = useState(false)
  const url = '/v1/blobs' + path(blob.sum) + query({ space })
  const preview = previewOf(blob.type)
  return (
    <div className="blob">
      <div className="blob-line">
        <a href={url} target="_blank" rel="noreferrer" className="mono" title={blob.sum}>{blob.sum.slice(0, 12)}</a>
        <span className="dim small">{describe(blob)}</span>
        <span className="grow" />
        {preview ? <button type="button" className="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? 'Hide' : 'Show'}</button> : null}
      </div>
      {open && preview === 'image' ? <img src={url} alt={`content of ${blob.sum.slice(0, 12)}`} loading="lazy" /> : null}
      {open && preview === 'text' ? <BlobText url={url} /> : null}
    </div>
  )
}

function BlobText({ url }: { url: string }) {
  const { data, problem, loading, reload } = useLoad((signal) => text(url, shownMax, signal), [url])
  if (problem) return <Failed what="The content could not be read." why={problem} retry={reload} />
  if (data === null) return loading ? <Loading what="the content" /> : null
  return <pre tabIndex={0} aria-label="content">{block(data)}</pre>
}
