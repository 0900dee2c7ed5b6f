// What this machine bears: what runs now against its limits, and a plan for more.
import { useEffect } from 'react'
import { get, query } from '../../api/http'
import type { CapacityShape } from '../../api/shape'
import { usePlace } from '../../app/router'
import { capacity, typed, verdict } from '../../model/capacity'
import { percent } from '../../model/format'
import { Failed, Loading } from '../../parts/Notice'
import { Shape } from '../../parts/State'
import { useLoad } from '../../parts/useLoad'
import type { Show } from '../../model/view'
import { Costs } from './Costs'
import { fields } from './fields'
import { Gauges, LiveFacts } from './Live'
import { Ask, Limits, Needs, PriceLine } from './Plan'

const refreshMs = 5000

const shows: Record<string, Show> = { calm: 'running', near: 'waiting', beyond: 'stuck', unknown: 'unknown' }

/** The parameters of the address that the server understands; what is not a number stays out. */
function asked(params: URLSearchParams): Record<string, string> {
  const out: Record<string, string> = {}
  for (const f of fields) {
    const v = typed(params.get(f.name) ?? '')
    if (v !== undefined && Number.isFinite(v)) out[f.name] = String(v)
  }
  const times = typed(params.get('times') ?? '')
  if (times !== undefined && Number.isFinite(times)) out.times = String(times)
  if (params.get('of') === 'busiest') out.of = 'busiest'
  return out
}

export default function Capacity() {
  const { params } = usePlace()
  useEffect(() => {
    document.title = 'Capacity · eyrie'
  }, [])
  const given = asked(params)
  const url = '/v1/capacity' + query(given)
  const { data, problem, status, reload, loading } = useLoad((signal) => get<CapacityShape>(url, signal), [url], refreshMs)
  if (problem && !data) return <div className="page"><h1 className="hidden">Capacity</h1><Failed what="What this machine bears could not be read." why={problem} retry={reload} /></div>
  if (!data) return <div className="page"><h1 className="hidden">Capacity</h1><Loading what="what this machine bears" /></div>
  const v = capacity(data)
  const entered = ['agents', 'rate', 'metrics', 'frame', 'viewers'].some((n) => given[n] !== undefined)
  const says = verdict(v, entered)
  const share = v.gauges.find((g) => g.name === 'cpu')?.mark
  return (
    <div className="page" aria-busy={loading}>
      <h1 className="hidden">Capacity</h1>
      {problem ? <Failed what={status === 400 ? 'The server does not understand this load.' : 'These figures are old: the server did not answer.'} why={problem} retry={reload} /> : null}
      <section className="panel capacity-head" aria-label="In short">
        <p className="large rowflow"><Shape show={shows[says.level] ?? 'unknown'} /><span className="grow" data-testid="verdict">{says.text}</span></p>
        <p className="facts-line">
          {says.agents ? <span>{says.agents}</span> : null}
          {says.disk ? <span>{says.disk}</span> : null}
          <PriceLine price={v.price} />
        </p>
        <p className="dim">{v.confidence}</p>
      </section>
      <div className="capacity-two">
        <section className="panel">
          <header><h2>Now</h2><span className="dim">{v.host}</span></header>
          <div className="capacity-body">
            <LiveFacts view={v} />
            <Gauges gauges={v.gauges} />
          </div>
        </section>
        <section className="panel">
          <header><h2>Plan</h2>{share ? <span className="dim">{percent(share)} of the CPU, the rest is for bursts and catching up</span> : null}</header>
          <Ask view={v} entered={entered} />
        </section>
      </div>
      <div className="capacity-two">
        <Limits view={v} />
        <Needs view={v} />
      </div>
      <Costs view={v} />
    </div>
  )
}
