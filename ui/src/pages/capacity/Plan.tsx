import { useEffect, useRef, useState } from 'react'
import { setParams, useParam, usePlace } from '../../app/router'
import { amount, level, small, times, title, typed } from '../../model/capacity'
import type { CapacityView, NeedView } from '../../model/capacity'
import { bytes, count, percent, rate } from '../../model/format'
import { Empty } from '../../parts/Notice'
import { Shape } from '../../parts/State'
import { fields, stepOf, steps, timesAt } from './fields'
import type { Field } from './fields'

const settleMs = 150

/** A field of the address: what is typed is taken when it rests. */
function Input({ field, today }: { field: Field; today: string }) {
  const asked = useParam(field.name)
  const [text, setText] = useState(asked)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => setText(asked), [asked])
  useEffect(() => () => clearTimeout(timer.current), [])
  const bad = Number.isNaN(typed(text))
  return (
    <label className="field">
      <span className="dim small">{field.word}{field.unit ? ` (${field.unit})` : ''}</span>
      <input
        type="text" inputMode="decimal" value={text} placeholder={today} aria-invalid={bad} autoComplete="off" spellCheck={false}
        title={bad ? 'A number, such as 65000, 65k or 1.5' : today ? `Empty is ${today}, as it is` : ''}
        onChange={(e) => {
          const next = e.target.value
          setText(next)
          clearTimeout(timer.current)
          timer.current = setTimeout(() => setParams({ [field.name]: next.trim() }), settleMs)
        }}
      />
    </label>
  )
}

function Slider({ view: v, entered }: { view: CapacityView; entered: boolean }) {
  const asked = typed(useParam('times')) ?? 1
  const [at, setAt] = useState(stepOf(asked))
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => setAt(stepOf(asked)), [asked])
  useEffect(() => () => clearTimeout(timer.current), [])
  const n = timesAt(at, asked)
  const what = entered ? 'the load entered' : v.of === 'busiest' ? 'the busiest minute of the day' : 'what runs now'
  return (
    <label className="slider">
      <span><strong className="large">{times(n)}</strong> <span className="dim">{what}</span></span>
      <input
        type="range" min={0} max={steps.length - 1} step={1} value={at} aria-label="How many times as much" aria-valuetext={`${n} times ${what}`}
        onChange={(e) => {
          const next = Number(e.target.value)
          setAt(next)
          clearTimeout(timer.current)
          timer.current = setTimeout(() => setParams({ times: next === 0 ? '' : String(steps[next] ?? 1) }), settleMs)
        }}
      />
    </label>
  )
}

export function Ask({ view: v, entered }: { view: CapacityView; entered: boolean }) {
  const { params } = usePlace()
  const any = ['times', ...fields.map((f) => f.name)].some((name) => params.has(name))
  const [resets, setResets] = useState(0) // other keys: what was typed and not taken yet goes, too
  const busiest = v.busiest ? `${rate(v.busiest.events, 's')}` : ''
  return (
    <div className="capacity-body">
      <div className="rowflow">
        <span className="segments" role="group" aria-label="Which load">
          <button type="button" aria-pressed={v.of === 'now'} onClick={() => setParams({ of: '' })}>the last minute</button>
          <button type="button" aria-pressed={v.of === 'busiest'} disabled={!v.busiest} title={v.busiest ? `${busiest} events, the most of the last day` : 'There was no whole minute yet'} onClick={() => setParams({ of: 'busiest' })}>the busiest of the day{busiest ? `, ${busiest}` : ''}</button>
        </span>
        <span className="grow" />
        {any ? <button type="button" className="quiet" onClick={() => {
          setResets(resets + 1)
          setParams({ times: '', ...Object.fromEntries(fields.map((f) => [f.name, ''])) })
        }}>As it is now</button> : null}
      </div>
      <Slider key={`times ${resets}`} view={v} entered={entered} />
      <div className="capacity-fields">
        {fields.map((f) => {
          const t = f.of(v.today)
          return <Input key={`${f.name} ${resets}`} field={f} today={t === undefined ? '' : small(t)} />
        })}
      </div>
    </div>
  )
}

export function PriceLine({ price: p }: { price: CapacityView['price'] }) {
  if (!p) return null
  return (
    <span>
      {count(p.month)} a month{p.hosts > 1 ? ` on ${count(p.hosts)} such hosts` : ''}: {small(p.connection)} a connection, {small(p.million)} a million events{p.full > 0 ? `; ${small(p.full)} a connection when full` : ''}.
    </span>
  )
}

export function Limits({ view: v }: { view: CapacityView }) {
  return (
    <section className="panel">
      <header><h2>What ends first</h2><span className="dim">and what moves it</span></header>
      {v.limits.length === 0 ? <Empty title="No limit is known">There is no load yet, or nothing was measured that could end it.</Empty> : (
        <ol className="limits">
          {v.limits.map((l, i) => (
            <li key={l.name} className={i === 0 ? 'first' : undefined}>
              <Shape show={l.times < 1 ? 'stuck' : l.times < 1.25 ? 'waiting' : i === 0 ? 'running' : 'idle'} />
              <span className="limit-name">{title(l.name)}</span>
              <strong className="num">{l.loose ? '≤\u00a0' : ''}{times(l.times)}</strong>
              <span className="dim limit-says">{l.says}</span>
            </li>
          ))}
        </ol>
      )}
      {v.diskPerDay > 0 ? <p className="capacity-note dim">The disk fills by {bytes(Math.round(v.diskPerDay))} a day.</p> : null}
    </section>
  )
}

const fullWords = { calm: '', near: 'near', beyond: 'beyond' }

function Row({ need: n }: { need: NeedView }) {
  const full = level(n.used)
  return (
    <li className="need">
      <span className="need-name">{title(n.name)}</span>
      <strong className="num">{n.known ? `${n.atLeast ? '≥\u00a0' : ''}${amount(n.name, n.value)}` : 'not known'}</strong>
      {n.usable > 0 && n.known ? (
        <>
          <span className={`bar ${full}`} role="meter" aria-label={title(n.name)} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(Math.min(1, n.used) * 100)} aria-valuetext={`${percent(n.used)} of ${amount(n.name, n.usable)}`}><i style={{ width: `${Math.min(100, n.used * 100)}%` }} /></span>
          <span className="dim small need-of">{n.used >= 10 ? times(n.used) : percent(n.used)} of {amount(n.name, n.usable)}{fullWords[full] ? <strong> {fullWords[full]}</strong> : null}</span>
        </>
      ) : <span className="dim small need-of wideof">{n.says}</span>}
      <span className="dim small need-parts">
        {n.parts.map((p) => `${p.name} ${amount(n.name, p.value)}`).join(' · ')}
        {n.missing.length > 0 ? <>{n.parts.length > 0 ? ' · ' : ''}<em>not measured: {n.missing.join(', ')}</em></> : null}
      </span>
    </li>
  )
}

export function Needs({ view: v }: { view: CapacityView }) {
  return (
    <section className="panel">
      <header><h2>What it takes</h2><span className="dim">{count(Math.round(v.load.agents))} {Math.round(v.load.agents) === 1 ? 'agent' : 'agents'}, {count(Math.round(v.load.agents * v.load.rate))} events/s, {count(Math.round(v.load.agents * v.load.metrics))} samples/s</span></header>
      {v.needs.length === 0 ? <Empty title="Nothing">No load, no need.</Empty> : <ul className="needs">{v.needs.map((n) => <Row key={n.name} need={n} />)}</ul>}
      {v.unanswered.map((u) => <p key={u} className="capacity-note dim">Not answered: {u}.</p>)}
    </section>
  )
}
