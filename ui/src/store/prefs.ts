// What a person chose on this device: theme and table columns. Kept in localStorage.
import { createStore } from 'zustand/vanilla'

export type Theme = 'system' | 'dark' | 'light'
type Prefs = { theme: Theme; columns: Record<string, string[]>; groupBy: string }

const storageKey = 'eyrie.prefs'
const defaults: Prefs = { theme: 'system', columns: {}, groupBy: 'manager' }

function load(): Prefs {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Partial<Prefs>
    return { ...defaults, ...kept }
  } catch {
    return defaults // unreadable or not allowed: begin anew
  }
}

export const prefs = createStore<Prefs>(load)

const dark = matchMedia('(prefers-color-scheme: dark)')

export function themeInForce(): 'dark' | 'light' {
  const { theme } = prefs.getState()
  return theme === 'system' ? (dark.matches ? 'dark' : 'light') : theme
}

function applyTheme(): void {
  document.documentElement.dataset.theme = themeInForce()
}

export function keepPrefs(): void {
  applyTheme()
  dark.addEventListener('change', applyTheme)
  prefs.subscribe((p) => {
    applyTheme()
    try {
      localStorage.setItem(storageKey, JSON.stringify(p))
    } catch {
      // Storage is full or forbidden: the choice holds for this page only.
    }
  })
}

export const setTheme = (theme: Theme) => prefs.setState({ theme })
export const setColumns = (table: string, shown: string[]) => prefs.setState((p) => ({ columns: { ...p.columns, [table]: shown } }))
