// Keyboard for the whole page. The handler registered last is asked first; typing in a field is left alone.
import { useEffect, useRef } from 'react'

export type Bindings = Record<string, (e: KeyboardEvent) => void>

const layers: { current: Bindings }[] = []
let prefix = ''
let prefixAt = 0
const prefixMs = 1200

function typing(target: EventTarget | null): boolean {
  const el = target as HTMLElement | null
  return !!el && (el.tagName === 'INPUT' || el.tagName === 'TEXTAREA' || el.tagName === 'SELECT' || el.isContentEditable)
}

/** The name a binding uses: "j", "g f", "mod+k", "Enter". */
function nameOf(e: KeyboardEvent): string {
  if (e.metaKey || e.ctrlKey) return 'mod+' + e.key.toLowerCase()
  return e.key
}

function find(name: string): ((e: KeyboardEvent) => void) | undefined {
  for (let i = layers.length - 1; i >= 0; i--) {
    const fn = layers[i]?.current[name]
    if (fn) return fn
  }
  return undefined
}

function dispatch(e: KeyboardEvent): void {
  if (e.defaultPrevented || e.altKey || e.isComposing) return
  const name = nameOf(e)
  if (typing(e.target) && name !== 'mod+k') return
  if (document.querySelector('dialog[open]') && name !== 'mod+k') return
  // Enter and Space belong to the focused control.
  const control = (e.target as HTMLElement | null)?.closest?.('button, a, summary, [role^=menuitem]')
  if (control && (name === 'Enter' || name === ' ')) return
  if (prefix && e.timeStamp - prefixAt < prefixMs) {
    const fn = find(`${prefix} ${name}`)
    prefix = ''
    if (fn) {
      e.preventDefault()
      fn(e)
      return
    }
  }
  prefix = ''
  const fn = find(name)
  if (fn) {
    e.preventDefault()
    fn(e)
  } else if (name === 'g') {
    prefix = name
    prefixAt = e.timeStamp
  }
}

/** Starts listening; returns what stops it. */
export function listenKeys(): () => void {
  addEventListener('keydown', dispatch)
  return () => removeEventListener('keydown', dispatch)
}

/** Binds keys while the component is on the page. */
export function useKeys(bindings: Bindings): void {
  const ref = useRef(bindings)
  ref.current = bindings
  useEffect(() => {
    layers.push(ref)
    return () => {
      layers.splice(layers.indexOf(ref), 1)
    }
  }, [])
}
