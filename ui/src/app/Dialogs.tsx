// The command palette (⌘K) and the list of keys (?).
import { useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { line } from '../model/format'
import { Shape } from '../parts/State'
import { Line } from '../parts/Text'
import { fleet } from '../store/app'
import { setTheme, themeInForce } from '../store/prefs'
import type { Show } from '../model/view'
import { useKeys } from './keys'
import { togglePause } from './pause'
import { agentPath, go, here, to } from './router'

export const keyList: [string, string][] = [
  ['j  k', 'next, previous row'],
  ['Enter', 'open the row'],
  ['Esc', 'close, or one page back'],
  ['g f   g r   g e', 'Fleet, Runs, Events'],
  ['g p   g c   g s', 'Capacity, Connect, Settings'],
  ['.', 'hold or go on'],
  ['t', 'window of time'],
  ['/', 'query'],
  ['e', 'on a run: next error'],
  ['⌘K or Ctrl K', 'everything'],
  ['?', 'this list'],
]

function Dialog({ label, onClose, children, className }: { label: string; onClose: () => void; children: ReactNode; className?: string }) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    ref.current?.showModal()
  }, [])
  return (
    <dialog ref={ref} aria-label={label} className={className} onClose={onClose} onClick={(e) => { if (e.target === ref.current) ref.current.close() }}>
      {children}
    </dialog>
  )
}

export function KeyList() {
  return <dl className="help-keys">{keyList.map(([k, what]) => <div key={k}><dt><kbd>{k}</kbd></dt><dd>{what}</dd></div>)}</dl>
}

type Entry = { id: string; word: string; hint: string; show?: Show; run: () => void }

const commands: Entry[] = [
  { id: 'fleet', word: 'Fleet', hint: 'g f', run: () => go(to('/')) },
  { id: 'runs', word: 'Runs', hint: 'g r', run: () => go(to('/runs')) },
  { id: 'events', word: 'Events', hint: 'g e', run: () => go(to('/events')) },
  { id: 'capacity', word: 'Capacity', hint: 'g p', run: () => go(to('/capacity')) },
  { id: 'setup', word: 'Connect an agent', hint: 'g c', run: () => go(to('/setup')) },
  { id: 'settings', word: 'Settings', hint: 'g s', run: () => go(to('/settings')) },
  { id: 'pause', word: 'Hold or go on', hint: '.', run: togglePause },
  { id: 'theme', word: 'Switch between dark and light', hint: '', run: () => setTheme(themeInForce() === 'dark' ? 'light' : 'dark') },
]

const entriesMax = 30

function search(text: string): Entry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const hit = (s: string) => words.every((w) => s.includes(w))
  const out = commands.filter((c) => hit(c.word.toLowerCase()))
  if (words.length === 0) return out
  for (const a of fleet.rows.values()) {
    if (out.length >= entriesMax) break
    if (!hit(`${a.id} ${a.title} ${a.role} ${a.host}`.toLowerCase())) continue
    out.push({ id: a.key, word: line(a.title, 80), hint: line([a.role, a.host, a.space].filter(Boolean).join(' · '), 60), show: a.show, run: () => go(to(agentPath(a.space, a.id))) })
  }
  return out
}

function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const entries = search(text)
  const run = (entry: Entry | undefined) => {
    onClose()
    entry?.run()
  }
  return (
    <Dialog label="Everything" onClose={onClose} className="palette">
      <input
        type="text" value={text} placeholder="A page, an action, an agent…" aria-label="Find a page, an action or an agent" role="combobox" aria-expanded="true" aria-controls="palette-list"
        aria-activedescendant={`palette-${at}`} spellCheck={false} autoComplete="off"
        onChange={(e) => { setText(e.target.value); setAt(0) }}
        onKeyDown={(e) => {
          const by = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0
          if (by) { setAt((at + by + entries.length) % Math.max(1, entries.length)); e.preventDefault() }
          if (e.key === 'Enter') run(entries[at])
        }}
      />
      <ul id="palette-list" role="listbox" aria-label="Found">
        {entries.map((x, i) => (
          <li key={x.id} id={`palette-${i}`} role="option" aria-selected={i === at} onPointerMove={() => setAt(i)} onClick={() => run(x)}>
            {x.show ? <Shape show={x.show} /> : null}<Line text={x.word} className="cut grow" /><span className="dim small cut">{x.hint}</span>
          </li>
        ))}
        {entries.length === 0 ? <li className="dim" role="option" aria-selected="false">Nothing of that name.</li> : null}
      </ul>
    </Dialog>
  )
}

export function Dialogs() {
  const [open, setOpen] = useState<'' | 'palette' | 'help'>('')
  useKeys({
    'mod+k': () => setOpen((o) => (o === 'palette' ? '' : 'palette')),
    '?': () => setOpen('help'),
    'g f': () => go(to('/')), 'g r': () => go(to('/runs')), 'g e': () => go(to('/events')), 'g p': () => go(to('/capacity')), 'g c': () => go(to('/setup')), 'g s': () => go(to('/settings')),
    Escape: () => {
      const { page } = here().route
      if (page === 'agent') go(to('/'))
      if (page === 'run') go(to('/runs'))
    },
  })
  if (open === 'palette') return <Palette onClose={() => setOpen('')} />
  if (open === 'help') {
    return (
      <Dialog label="Keys" onClose={() => setOpen('')}>
        <div className="help"><h2>Keys</h2><KeyList /><form method="dialog"><button>Close</button></form></div>
      </Dialog>
    )
  }
  return null
}
