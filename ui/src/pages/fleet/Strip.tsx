import { useStore } from 'zustand'
import { setParams, useParam } from '../../app/router'
import { count, percent, rate } from '../../model/format'
import type { FleetView, Show } from '../../model/view'
import { Shape, words } from '../../parts/State'
import { fleet } from '../../store/app'

const order: Show[] = ['running', 'waiting', 'idle', 'stuck', 'silent', 'failed', 'unknown']

/** How everyone is, in one line. A state narrows the table to it. */
export function Strip({ past }: { past?: FleetView }) {
  const live = useStore(fleet.store, (s) => s.summary)
  const f = past ?? live
  const only = useParam('show')
  if (!f) return <section className="panel strip" aria-label="Counts"><span className="dim">Counting…</span></section>
  return (
    <section className="panel strip" aria-label="Counts">
      <span className="lead"><span className="large" data-testid="agents-live">{count(f.live)}</span> <span className="dim">{f.live === 1 ? 'agent' : 'agents'} live{f.ended > 0 ? `, ${count(f.ended)} ended` : ''}</span></span>
      <span className="states">
        {order.map((show) => (
          <button
            key={show} type="button" className="quiet count" aria-pressed={only === show} disabled={f.by[show] === 0 && only !== show}
            onClick={() => setParams({ show: only === show ? '' : show, scope: '' })}
          >
            <Shape show={show} /><strong>{count(f.by[show])}</strong><span className="word">{words[show]}</span>
          </button>
        ))}
      </span>
      <span className="rates">
        <span><span className="dim">events</span> <strong>{rate(f.eventsPerS, 's')}</strong></span>
        <span><span className="dim">tokens</span> <strong>{rate(f.tokensPerH, 'h')}</strong></span>
        <span><span className="dim">failed calls</span> <strong>{percent(f.failedShare)}</strong></span>
      </span>
    </section>
  )
}
