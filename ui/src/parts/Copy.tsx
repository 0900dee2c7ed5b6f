import { useEffect, useState } from 'react'
import { copy } from './copy'

export function CopyButton({ text, word = 'Copy' }: { text: () => string; word?: string }) {
  const [said, setSaid] = useState('')
  useEffect(() => {
    if (!said) return
    const id = setTimeout(() => setSaid(''), 1500)
    return () => clearTimeout(id)
  }, [said])
  return (
    <button type="button" onClick={() => void copy(text()).then((ok) => setSaid(ok ? 'Copied' : 'Not allowed'))}>
      <span aria-live="polite">{said || word}</span>
    </button>
  )
}
