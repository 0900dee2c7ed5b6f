import { useState } from 'react'
import { useStore } from 'zustand'
import { agentPath, runPath, to } from '../../app/router'
import { Link } from '../../app/Link'
import { hourly } from '../../model/format'
import type { AttentionView, FleetView, Show } from '../../model/view'
import { Shape } from '../../parts/State'
import { Id, Line, Since } from '../../parts/Text'
import { fleet } from '../../store/app'
import { evidencePath } from '../events/evidence'

const kindShow: Record<string, Show> = { asks: 'waiting', stuck: 'stuck', failed: 'failed', silent: 'silent', over_budget: 'stuck' }
const kindWord: Record<string, string> = { asks: 'asks', stuck: 'stuck', failed: 'failed', silent: 'silent', over_budget: 'over budget' }
const sinceWord: Record<string, string> = { asks: 'waiting', stuck: 'for', failed: '', silent: 'for', over_budget: 'for' }

const shownFirst = 6

function Item({ item }: { item: AttentionView }) {
  const a = item.agent
  const rule = a.verdict && a.verdict.kind === item.kind ? a.verdict.rule : a.ask?.kind
  const openPath = to(agentPath(a.space, a.id), item.span ? { span: item.span } : {})
  return (
    <li className="attention-row">
      <Shape show={kindShow[item.kind] ?? 'unknown'} />
      <Link to={openPath} className="who cut"><Line text={a.title} max={60} /></Link>
      <span className="what">
        {item.title.includes(kindWord[item.kind] ?? item.kind) ? null : <span className="dim">{kindWord[item.kind] ?? item.kind}: </span>}
        <Line text={item.title} max={200} className="" />
        {item.detail ? <span className="dim"> <Line text={item.detail} max={200} className="" /></span> : null}
      </span>
      <span className="since nowrap dim">{sinceWord[item.kind] ?? ''} <Since at={item.since} />{item.kind === 'failed' ? ' ago' : ''}</span>
      <span className="burn num nowrap">{item.burn > 0 ? hourly(item.burn) : ''}</span>
      <span className="meta dim small cut">
        {rule ? <span>{rule}</span> : null}
        {a.manager ? <span className="sep">of <Id id={a.manager} /></span> : null}
        {item.run ? <span className="sep"><Link to={to(runPath(a.space, item.run))}>run</Link></span> : null}
        {item.evidence.length > 0 ? <span className="sep"><Link to={evidencePath(item.agent, item.evidence)}>evidence ({item.evidence.length})</Link></span> : null}
      </span>
      <Link to={openPath} className="button" label={`Open ${a.title}`}>Open</Link>
    </li>
  )
}

export type Wanted = { attention: readonly AttentionView[]; attentionTotal: number; summary: FleetView | null }

export function Attention({ past }: { past?: Wanted }) {
  const live = useStore(fleet.store, (s) => (past ? null : s))
  const { attention: rows, attentionTotal: total, summary } = past ?? live ?? fleet.store.getState()
  const [all, setAll] = useState(false)
  const shown = all ? rows : rows.slice(0, shownFirst)
  return (
    <section className="panel attention" aria-label="Attention">
      <header>
        <h2>Attention</h2>
        {summary ? <span className={total > 0 ? 'large' : 'large dim'}>{total}</span> : null}
        <span className="grow" />
        {summary ? <span><strong>{hourly(summary.burn)}</strong><span className="dim"> {past ? 'then' : 'now'}</span></span> : null}
      </header>
      {rows.length === 0 ? (
        <p className="quiet-line dim">{summary ? 'Nobody asks, nobody is stuck, nothing failed or fell silent.' : 'Waiting for the fleet…'}</p>
      ) : (
        <ul>{shown.map((item) => <Item key={item.id} item={item} />)}</ul>
      )}
      {rows.length > shownFirst ? (
        <footer><button type="button" className="quiet" onClick={() => setAll(!all)}>{all ? 'Show fewer' : `Show all ${rows.length}`}</button>
          {all && total > rows.length ? <span className="dim">the first {rows.length} of {total}</span> : null}</footer>
      ) : null}
    </section>
  )
}
