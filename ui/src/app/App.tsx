import { Component, lazy, Suspense, useEffect } from 'react'
import type { ReactNode } from 'react'
import { useStore } from 'zustand'
import type { Subscription } from '../api/live'
import { Loading } from '../parts/Notice'
import { fleet, live, session } from '../store/app'
import { Dialogs } from './Dialogs'
import { Frame } from './Frame'
import { useParam, usePlace } from './router'
import { SignIn, Unreachable } from './SignIn'
import { Fleet } from '../pages/fleet/Fleet'

const Agent = lazy(() => import('../pages/agent/Agent'))
const Runs = lazy(() => import('../pages/runs/Runs'))
const Run = lazy(() => import('../pages/runs/Run'))
const Events = lazy(() => import('../pages/events/Events'))
const Capacity = lazy(() => import('../pages/capacity/Capacity'))
const Setup = lazy(() => import('../pages/setup/Setup'))
const Settings = lazy(() => import('../pages/settings/Settings'))

function Page() {
  const { route } = usePlace()
  switch (route.page) {
    case 'fleet': return <Fleet />
    case 'agent': return <Agent key={`${route.space}/${route.id}`} space={route.space} id={route.id} />
    case 'runs': return <Runs />
    case 'run': return <Run key={`${route.space}/${route.id}`} space={route.space} id={route.id} />
    case 'events': return <Events />
    case 'capacity': return <Capacity />
    case 'setup': return <Setup />
    case 'settings': return <Settings />
    case 'missing':
      return <div className="page"><div className="empty"><strong>There is no such page</strong><p>The address may be mistyped, or the page comes in a later version.</p></div></div>
  }
}

/** One broken page must not take the frame with it. */
class Boundary extends Component<{ children: ReactNode; place: string }, { error: string; place: string }> {
  override state = { error: '', place: this.props.place }
  static getDerivedStateFromError(e: unknown) {
    return { error: e instanceof Error ? e.message : String(e) }
  }
  static getDerivedStateFromProps(p: { place: string }, s: { error: string; place: string }) {
    return p.place === s.place ? null : { error: '', place: p.place }
  }
  override render() {
    if (!this.state.error) return this.props.children
    return (
      <div className="page">
        <div className="problem" role="alert">
          <span><strong>This page broke.</strong> <span className="dim">{this.state.error}</span></span>
          <button type="button" onClick={() => location.reload()}>Load it again</button>
        </div>
      </div>
    )
  }
}

/** The fleet is followed on every page: rail, palette and links between agents read it. */
function Follow() {
  const { route } = usePlace()
  const typed = useParam('q')
  const q = route.page === 'fleet' ? typed : ''
  useEffect(() => live.subscribe({ what: 'fleet', filter: {}, on: fleet.fleet }), [])
  useEffect(() => {
    fleet.clear()
    const sub: Subscription = { what: 'agents', filter: q ? { q } : {}, on: fleet.agents, begin: fleet.begin, fail: fleet.fail }
    const end = live.subscribe(sub)
    fleet.whenLooked((agents) => live.focus(sub, agents))
    return () => {
      fleet.whenLooked(null)
      end()
    }
  }, [q])
  return null
}

export function App() {
  const s = useStore(session, (x) => x.session)
  const { path } = usePlace()
  if (s.state === 'asking') return <Loading what="eyrie" />
  if (s.state === 'out') return <SignIn problem={s.problem} />
  if (s.state === 'unreachable') return <Unreachable session={s} />
  return (
    <>
      <Follow />
      <Frame>
        <Boundary place={path}>
          <Suspense fallback={<div className="page"><Loading what="the page" /></div>}><Page /></Suspense>
        </Boundary>
      </Frame>
      <Dialogs />
    </>
  )
}
