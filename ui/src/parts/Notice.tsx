// Empty, loading and failed are states of their own: each says what it means and what to do.
import type { ReactNode } from 'react'

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children ? <p>{children}</p> : null}
    </div>
  )
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="skeleton" role="status">
      <span className="hidden">Loading {what}</span>
      <i /><i /><i />
    </div>
  )
}

export function Failed({ what, why, retry }: { what: string; why: string; retry?: () => void }) {
  return (
    <div className="problem" role="alert">
      <span><strong>{what}</strong> <span className="dim">{why}</span></span>
      {retry ? <button type="button" onClick={retry}>Try again</button> : null}
    </div>
  )
}
