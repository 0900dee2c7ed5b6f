import type { ReactNode } from 'react'
import { go } from './router'

/** A link within the pages. A click with a modifier is the browser's. */
export function Link({ to, children, className, current, title, label }: {
  to: string
  children: ReactNode
  className?: string | undefined
  current?: boolean
  title?: string
  label?: string
}) {
  return (
    <a
      href={to} className={className} title={title} aria-label={label} aria-current={current ? 'page' : undefined}
      onClick={(e) => {
        if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
        e.preventDefault()
        go(to)
      }}
    >
      {children}
    </a>
  )
}
