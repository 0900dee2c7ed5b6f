import { useEffect } from 'react'
import { useStore } from 'zustand'
import { get } from '../../api/http'
import type { StatusShape } from '../../api/shape'
import { KeyList } from '../../app/Dialogs'
import { bytes, count, duration, line } from '../../model/format'
import { Failed, Loading } from '../../parts/Notice'
import { Shape } from '../../parts/State'
import { useLoad } from '../../parts/useLoad'
import { leave, session } from '../../store/app'
import { prefs, setTheme } from '../../store/prefs'
import type { Theme } from '../../store/prefs'

const themes: { id: Theme; word: string }[] = [{ id: 'system', word: 'as the system' }, { id: 'dark', word: 'dark' }, { id: 'light', word: 'light' }]
const refreshMs = 5000

const Fact = ({ name, children }: { name: string; children: React.ReactNode }) => <div><dt>{name}</dt><dd>{children}</dd></div>

function Server() {
  const { data: s, problem, reload } = useLoad((signal) => get<StatusShape>('/v1/status', signal), [], refreshMs)
  if (problem && !s) return <Failed what="The server’s state could not be read." why={problem} retry={reload} />
  if (!s) return <Loading what="the server’s state" />
  return (
    <dl className="facts">
      <Fact name="ready"><span className="state"><Shape show={s.ready ? 'running' : 'failed'} />{s.ready ? 'yes' : `no: ${line((s.reasons ?? []).join('; '), 200)}`}</span></Fact>
      <Fact name="version">{line(s.version ?? '', 40)} <span className="dim mono">{line(s.commit ?? '', 12)}</span></Fact>
      <Fact name="host">{line(s.hostname ?? '', 80)}</Fact>
      <Fact name="up for">{duration((s.uptime_s ?? 0) * 1000)}</Fact>
      <Fact name="records">{count(s.records_total ?? s.events_total ?? 0)} in the log, {count(s.agents ?? 0)} agents</Fact>
      <Fact name="log">{bytes(s.log?.bytes ?? 0)}, next offset <span className="mono">{s.log?.next ?? 0}</span>, epoch {s.log?.epoch ?? 0}</Fact>
      {s.log?.disk_free ? <Fact name="disk free">{bytes(s.log.disk_free)}</Fact> : null}
      {(s.views ?? []).map((v) => <Fact key={v.name} name={line(v.name ?? '', 20)}>{v.lag ? `${count(v.lag)} events behind` : 'caught up'}</Fact>)}
      {(s.listeners ?? []).map((l) => <Fact key={`${l.name} ${l.addr}`} name={line(l.name ?? '', 20)}><span className="mono">{line(l.addr ?? '', 60)}</span></Fact>)}
    </dl>
  )
}

type Chosen = { key?: string; value?: string; why?: string; at_ms?: number }

function Tuning() {
  const { data, problem, reload } = useLoad((signal) => get<{ items?: Chosen[] }>('/v1/tuning', signal), [], refreshMs)
  if (problem && !data) return <Failed what="What was chosen for this host could not be read." why={problem} retry={reload} />
  if (!data) return <Loading what="what was chosen for this host" />
  return (
    <dl className="facts">
      {(data.items ?? []).map((t) => <Fact key={t.key} name={line(t.key ?? '', 40)}><span className="mono">{line(t.value ?? '', 40)}</span> <span className="dim">{line(t.why ?? '', 300)}</span></Fact>)}
    </dl>
  )
}

export default function Settings() {
  const theme = useStore(prefs, (p) => p.theme)
  const who = useStore(session, (s) => s.session)
  useEffect(() => {
    document.title = 'Settings · eyrie'
  }, [])
  return (
    <div className="page">
      <h1 className="hidden">Settings</h1>
      <div className="settings">
        <section className="panel">
          <header><h2>Theme</h2></header>
          <div className="body">
            <span className="segments" role="group" aria-label="Theme">
              {themes.map((t) => <button key={t.id} type="button" aria-pressed={theme === t.id} onClick={() => setTheme(t.id)}>{t.word}</button>)}
            </span>
            <p className="dim">Kept in this browser. Motion follows the system’s wish for less of it.</p>
          </div>
        </section>
        <section className="panel">
          <header><h2>Signed in</h2></header>
          <div className="body rowflow">
            {who.state === 'in' ? <span>{line(who.name || who.role, 60)} <span className="dim">role {line(who.role, 30)}{who.space ? `, space ${line(who.space, 40)}` : ''}</span></span> : null}
            <span className="grow" />
            <button type="button" onClick={() => void leave()}>Sign out</button>
          </div>
        </section>
        <section className="panel"><header><h2>Keys</h2></header><div className="body"><KeyList /></div></section>
        <section className="panel"><header><h2>Server</h2></header><Server /></section>
        <section className="panel"><header><h2>Chosen for this host</h2></header><Tuning /></section>
      </div>
    </div>
  )
}
