import { useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { useStore } from 'zustand'
import { fleet, link, live } from '../store/app'
import { Brand, CapacityIcon, EventsIcon, FleetIcon, RunsIcon, SettingsIcon, SetupIcon } from '../parts/icons'
import { Shape } from '../parts/State'
import { Since } from '../parts/Text'
import { clock } from '../store/clock'
import { count } from '../model/format'
import { to, usePlace } from './router'
import { Link } from './Link'
import { TopBar } from './TopBar'

const pages = [
  { path: '/', word: 'Fleet', icon: FleetIcon, of: ['fleet', 'agent'] },
  { path: '/runs', word: 'Runs', icon: RunsIcon, of: ['runs', 'run'] },
  { path: '/events', word: 'Events', icon: EventsIcon, of: ['events'] },
  { path: '/capacity', word: 'Capacity', icon: CapacityIcon, of: ['capacity'] },
  { path: '/setup', word: 'Connect', icon: SetupIcon, of: ['setup'], push: true },
  { path: '/settings', word: 'Settings', icon: SettingsIcon, of: ['settings'] },
]

function Rail() {
  const { route } = usePlace()
  const attention = useStore(fleet.store, (s) => s.attentionTotal)
  return (
    <nav className="rail" aria-label="Pages">
      <div className="brand"><Brand /><span>eyrie</span></div>
      {pages.map((p) => (
        <Link key={p.path} to={to(p.path)} className={p.push ? 'push' : undefined} current={p.of.includes(route.page)} title={p.word}>
          <p.icon /><span>{p.word}</span>
          {p.path === '/' && attention > 0 ? <span className="badge" title={`${attention} want attention`}>{attention > 99 ? '99+' : attention}</span> : null}
        </Link>
      ))}
    </nav>
  )
}

/** Tells when what is shown is no longer live. A short break says nothing. */
function Stale() {
  const { status, heard, retryAt } = useStore(link)
  const now = useStore(clock, (c) => c.now)
  if (status === 'live') return null
  const wait = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))
  return (
    <div className="banner" role="status" data-at={now}>
      <Shape show="silent" />
      <span className="grow">
        {heard > 0 ? <><strong>Offline.</strong> What you see is <Since at={heard} /> old.</> : <strong>No connection to the server yet.</strong>}{' '}
        <span className="dim">{retryAt > 0 && wait > 0 ? `Trying again in ${wait} s.` : 'Trying now…'}</span>
      </span>
      <button type="button" onClick={() => live.retryNow()}>Try now</button>
    </div>
  )
}

/** The server has just started and still loads what it shows. It says so itself, and when that is over. */
function ViewsLoading() {
  const loading = useStore(link, (l) => l.loading)
  if (!loading) return null
  const done = Math.min(Math.max(loading.done ?? 0, 0), 1)
  const folding = loading.phase === 'fold'
  const behind = loading.behind ?? 0
  return (
    <div className="banner calm" role="status">
      <span className="grow">
        <strong>{folding ? 'Catching up' : 'Loading views'} … {Math.floor(done * 100)} %</strong>{' '}
        <span className="dim">{folding && behind > 0 ? `${count(behind)} records to go. ` : ''}The server has just started; agents’ events are taken meanwhile.</span>
      </span>
      <progress value={done} max={1} aria-label="Loaded" />
    </div>
  )
}

const staleAfterMs = 1500

function useStale(): boolean {
  const alive = useStore(link, (l) => l.status === 'live')
  const [stale, setStale] = useState(false)
  useEffect(() => {
    if (alive) {
      setStale(false)
      return
    }
    const id = setTimeout(() => setStale(true), staleAfterMs)
    return () => clearTimeout(id)
  }, [alive])
  return stale && !alive
}

export function Frame({ children }: { children: ReactNode }) {
  const stale = useStale()
  const { path } = usePlace()
  const main = useRef<HTMLElement>(null)
  useEffect(() => {
    main.current?.scrollTo(0, 0)
  }, [path])
  return (
    <div className={stale ? 'frame stale' : 'frame'}>
      <TopBar />
      <main className="main" id="main" ref={main} data-scroll tabIndex={-1}>
        {stale ? <Stale /> : <ViewsLoading />}
        {children}
      </main>
      <Rail />
    </div>
  )
}
