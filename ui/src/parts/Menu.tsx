import { useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'

export type Choice = { id: string; word: string; checked?: boolean }

/** A button that opens a list of choices. Closes on Escape, on a choice (unless stay), and on a click elsewhere. */
export function Menu({ label, choices, onChoose, stay = false, className = '', title, hook }: {
  label: ReactNode
  choices: Choice[]
  onChoose: (id: string) => void
  stay?: boolean
  className?: string
  title?: string
  hook?: (open: () => void) => void
}) {
  const [open, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => hook?.(() => setOpen(true)), [hook])
  useEffect(() => {
    if (!open) return
    box.current?.querySelector<HTMLElement>('[role^=menuitem]')?.focus()
    const away = (e: PointerEvent) => {
      if (!box.current?.contains(e.target as Node)) setOpen(false)
    }
    addEventListener('pointerdown', away)
    return () => removeEventListener('pointerdown', away)
  }, [open])
  const keys = (e: React.KeyboardEvent) => {
    if (e.key === 'Escape') {
      setOpen(false)
      box.current?.querySelector('button')?.focus()
      e.stopPropagation()
    }
    if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return
    const items = [...(box.current?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])]
    const at = items.indexOf(document.activeElement as HTMLElement)
    items[(at + (e.key === 'ArrowDown' ? 1 : -1) + items.length) % items.length]?.focus()
    e.preventDefault()
  }
  return (
    <div className="menu-anchor" ref={box} onKeyDown={keys}>
      <button type="button" className={className} title={title} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        {label}
      </button>
      {open ? (
        <div className="menu" role="menu">
          {choices.map((c) => (
            <button
              key={c.id} type="button" role={c.checked === undefined ? 'menuitem' : 'menuitemcheckbox'} aria-checked={c.checked}
              onClick={() => {
                onChoose(c.id)
                if (!stay) setOpen(false)
              }}
            >
              {c.word}
            </button>
          ))}
        </div>
      ) : null}
    </div>
  )
}
