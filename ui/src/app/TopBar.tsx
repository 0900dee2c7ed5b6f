import { useEffect, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { clock as clockText, line } from '../model/format'
import { ClockIcon, SearchIcon } from '../parts/icons'
import { Menu } from '../parts/Menu'
import { Shape } from '../parts/State'
import { Line } from '../parts/Text'
import { fleet, link } from '../store/app'
import { useKeys } from './keys'
import { pause, setPaused, togglePause } from './pause'
import { Link } from './Link'
import { setParams, to, useParam, usePlace } from './router'
import { lengths, parseWindow } from './window'

const hints: Record<string, string> = {
  fleet: 'space:main state:stuck role:reviewer …',
  runs: 'space:main agent:w-17 status:error …',
  events: 'type:tool agent:w-17 status:error npm …',
}

function QueryBox() {
  const q = useParam('q')
  const { route } = usePlace()
  const problem = useStore(fleet.store, (s) => (route.page === 'fleet' ? s.problem : ''))
  const [text, setText] = useState(q)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => setText(q), [q])
  useKeys({ '/': () => input.current?.select() })
  const hint = hints[route.page]
  if (!hint) return <Where />
  return (
    <form className="query" role="search" onSubmit={(e) => { e.preventDefault(); setParams({ q: text.trim() }, false) }}>
      <SearchIcon />
      <input
        ref={input} type="search" value={text} placeholder={hint} aria-label="Query" spellCheck={false} autoComplete="off" enterKeyHint="search"
        aria-invalid={problem !== '' && q !== ''} title={problem || 'field:value, lists, ranges, NOT, OR, free text. Enter applies.'}
        onChange={(e) => setText(e.target.value)}
        onKeyDown={(e) => {
          if (e.key !== 'Escape') return
          if (text) {
            setText('')
            setParams({ q: '' }, false)
          } else input.current?.blur()
        }}
      />
      {text === '' ? <kbd aria-hidden="true">/</kbd> : null}
    </form>
  )
}

/** Where one is, on pages that take no query. */
function Where() {
  const { route } = usePlace()
  if (route.page !== 'agent' && route.page !== 'run') return <div className="query" />
  const up = route.page === 'agent' ? { path: '/', word: 'Fleet' } : { path: '/runs', word: 'Runs' }
  return (
    <nav className="query where" aria-label="Where">
      <Link to={to(up.path)}>{up.word}</Link><span className="faint">/</span><span className="dim wide"><Line text={route.space} max={40} className="" /></span><span className="faint wide">/</span><bdi className="mono cut">{line(route.id, 120)}</bdi>
    </nav>
  )
}

function TimeControl() {
  const paused = useStore(pause, (p) => p.paused)
  const held = useStore(fleet.store, (s) => s.held)
  const t = useParam('t')
  const { route } = usePlace()
  const open = useRef(() => {})
  useKeys({ '.': togglePause, t: () => open.current() })
  const w = parseWindow(t)
  const windowed = route.page !== 'fleet' && route.page !== 'capacity' && route.page !== 'setup' && route.page !== 'settings'
  const word = !windowed || w.kind === 'default' ? '' : w.kind === 'last' ? w.text : `${clockText(w.from, false)}–${clockText(w.to, false)}`
  return (
    <>
      <button
        type="button" aria-pressed={paused} onClick={togglePause}
        title={paused ? 'The page stands still; what arrives is kept. Press . to go on.' : 'The page follows the fleet. Press . to hold it.'}
      >
        {paused ? `❚❚ Held${held > 0 ? ` · ${held} new` : ''}` : 'Live'}
      </button>
      {windowed ? (
        <Menu
          title="Window of time" hook={(fn) => { open.current = fn }}
          label={<><span className="icon14"><ClockIcon /></span>{word || 'Time'}</>}
          choices={[{ id: '', word: 'automatic', checked: t === '' }, ...lengths.map((l) => ({ id: l.t as string, word: l.word, checked: t === l.t }))]}
          onChoose={(id) => { setPaused(false); setParams({ t: id }, false) }}
        />
      ) : null}
    </>
  )
}

function LinkWord() {
  const { status, rtt } = useStore(link)
  if (status === 'live') {
    return (
      <span className="linkstate" role="status" title={`Connected. The last round trip took ${rtt < 0 ? '…' : Math.round(rtt)} ms.`}>
        <Shape show="running" /><span className="word">live</span><span className="dim">{rtt < 0 ? '…' : Math.max(1, Math.round(rtt))} ms</span>
      </span>
    )
  }
  return (
    <span className="linkstate" role="status">
      <Shape show={status === 'connecting' ? 'idle' : 'silent'} /><span>{status === 'connecting' ? 'connecting' : 'offline'}</span>
    </span>
  )
}

export function TopBar() {
  return (
    <header className="top">
      <QueryBox />
      <TimeControl />
      <LinkWord />
    </header>
  )
}
