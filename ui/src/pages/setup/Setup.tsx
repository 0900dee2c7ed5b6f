import { useEffect, useState } from 'react'
import { get } from '../../api/http'
import type { SetupShape, StatusShape } from '../../api/shape'
import { Link } from '../../app/Link'
import { agentPath, to } from '../../app/router'
import { count } from '../../model/format'
import { event } from '../../model/map'
import type { EventView } from '../../model/view'
import { CopyButton } from '../../parts/Copy'
import { Failed, Loading } from '../../parts/Notice'
import { Shape } from '../../parts/State'
import { Ago, Line } from '../../parts/Text'
import { useLoad } from '../../parts/useLoad'
import { live } from '../../store/app'

const names: Record<string, { word: string; about: string }> = {
  claude_code: { word: 'Claude Code', about: 'Reads the transcripts that Claude Code keeps: the whole history first, then live. Run it on the machine where Claude Code runs; nothing changes there.' },
  watch: { word: 'Any program', about: 'Starts a program and reports its output, its exit and what it uses. The program needs no change.' },
  send: { word: 'Shell', about: 'Sends one event from a script.' },
  python: { word: 'Python', about: 'From a program in Python.' },
  typescript: { word: 'TypeScript', about: 'From a program in TypeScript or JavaScript.' },
  go: { word: 'Go', about: 'From a program in Go, with acknowledgements that mean “on disk”.' },
  curl: { word: 'HTTP', about: 'From anything that speaks HTTP.' },
}
const order = Object.keys(names)
const ownSpace = 'eyrie'

/** Turns when the first event of somebody else's agent is durable. */
function useFirst(): { first: EventView | null; total: number; known: boolean } {
  const [first, setFirst] = useState<EventView | null>(null)
  const status = useLoad((signal) => get<StatusShape>('/v1/status', signal), [])
  useEffect(() => live.subscribe({
    what: 'events', filter: {}, from: 'now',
    on: (items) => {
      for (const item of items) {
        const e = event(item)
        if (e.type !== 'system' && e.space && e.space !== ownSpace) setFirst((old) => old ?? e)
      }
    },
  }), [])
  return { first, total: status.data?.records_total ?? status.data?.events_total ?? 0, known: status.data?.first_event === true }
}

export default function Setup() {
  const { data, problem, status, reload } = useLoad((signal) => get<SetupShape>('/v1/setup', signal), [])
  const { first, total, known } = useFirst()
  const [tab, setTab] = useState('')
  useEffect(() => {
    document.title = 'Connect · eyrie'
  }, [])
  const snippets = Object.entries(data?.snippets ?? {}).filter(([, text]) => text).toSorted(([a], [b]) => (order.indexOf(a) + 99) % 99 - (order.indexOf(b) + 99) % 99)
  const at = snippets.find(([id]) => id === tab) ?? snippets[0]
  const here = first !== null || known
  return (
    <div className="page">
      <section className="panel" aria-live="polite">
        <div className="first-line">
          <Shape show={here ? 'running' : 'idle'} />
          {first ? (
            <span><strong>An event arrived</strong> <Ago at={first.recv} /> from <Link to={to(agentPath(first.space, first.agent))}><Line text={first.agent} max={60} className="" /></Link>: {first.type} <span className="dim"><Line text={first.summary} max={100} className="" /></span></span>
          ) : known ? (
            <span><strong>Agents are sending.</strong> <span className="dim">{count(total)} records in the log so far. The next one will be shown here.</span></span>
          ) : (
            <span><strong>Waiting for the first event.</strong> <span className="dim">This line changes the moment it is on disk. eyrie’s own host is already in the fleet.</span></span>
          )}
        </div>
      </section>
      <section className="panel">
        <header><h1>Connect an agent</h1><span className="grow" />{data?.ingest_url ? <span className="dim">agents connect to <code>{data.ingest_url}</code></span> : null}</header>
        {problem ? <Failed what={status === 403 ? 'Only an operator may see keys.' : 'The ways to connect could not be read.'} why={problem} retry={reload} /> : null}
        {!data && !problem ? <Loading what="the ways to connect" /> : null}
        {at ? (
          <>
            <div className="tabs" role="tablist" aria-label="Ways to connect">
              {snippets.map(([id]) => (
                <button key={id} type="button" role="tab" id={`tab-${id}`} aria-selected={id === at[0]} aria-controls="snippet" onClick={() => setTab(id)}>{names[id]?.word ?? id}</button>
              ))}
            </div>
            <div className="snippet" role="tabpanel" id="snippet" aria-labelledby={`tab-${at[0]}`}>
              <div className="rowflow"><p className="dim grow">{names[at[0]]?.about}</p><CopyButton text={() => at[1]} /></div>
              <pre tabIndex={0} aria-label="Commands">{at[1]}</pre>
              <p className="dim small">The key in it lets a program send as an agent, nothing else. Treat it as a password.</p>
            </div>
          </>
        ) : null}
      </section>
    </div>
  )
}
