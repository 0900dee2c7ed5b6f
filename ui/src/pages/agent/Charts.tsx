import { useMemo } from 'react'
import { useStore } from 'zustand'
import { get, query } from '../../api/http'
import type { Page, RangeShape, SeriesShape } from '../../api/shape'
import { pause } from '../../app/pause'
import { range, series } from '../../model/map'
import type { RangeView, SeriesView } from '../../model/view'
import { Chart } from '../../parts/Chart'
import { Empty, Failed, Loading } from '../../parts/Notice'
import { useLoad } from '../../parts/useLoad'

const pointsMax = 300
const metricsMax = 12
const linesMax = 6

type Props = { space: string; agent: string; from: number; to: number; onZoom: (from: number, to: number) => void; onReset: () => void }

const noSeries: RangeView[] = []

function Metric({ space, agent, metric, unit, from, to, onZoom, onReset }: Props & { metric: string; unit: string }) {
  const { data, problem } = useLoad(
    (signal) => get<RangeShape>('/v1/series/range' + query({ space, agent, metric, from_ms: Math.floor(from), to_ms: Math.ceil(to), points: pointsMax }), signal).then(range),
    [space, agent, metric, Math.floor(from), Math.ceil(to)],
  )
  const lines = useMemo(() => data?.series.slice(0, linesMax) ?? noSeries, [data])
  if (problem && !data) return <Failed what={metric} why={problem} />
  return <Chart title={metric} unit={unit} series={lines} step={data?.step ?? 1000} from={from} to={to} onZoom={onZoom} onReset={onReset} />
}

/** A chart for each metric that the agent has sent. */
export function Charts(p: Props) {
  const paused = useStore(pause, (s) => s.paused)
  const { data, problem, loading, reload } = useLoad(
    (signal) => get<Page<SeriesShape>>('/v1/series' + query({ space: p.space, agent: p.agent }), signal).then((x) => (x.items ?? []).map(series)),
    [p.space, p.agent], paused ? 0 : 30_000,
  )
  if (problem && !data) return <Failed what="The metrics could not be read." why={problem} retry={reload} />
  if (!data) return loading ? <Loading what="metrics" /> : null
  const metrics = new Map<string, SeriesView>()
  for (const s of data) if (!metrics.has(s.metric)) metrics.set(s.metric, s)
  if (metrics.size === 0) return <section className="panel"><Empty title="No metrics">This agent has sent no numbers. A “metrics” event, or OTLP, makes charts appear here.</Empty></section>
  const shown = [...metrics.values()].slice(0, metricsMax)
  return (
    <section className="charts" aria-label="Metrics">
      {shown.map((s) => <Metric key={s.metric} {...p} metric={s.metric} unit={s.unit} />)}
      {metrics.size > shown.length ? <p className="dim small">{metrics.size - shown.length} more metrics are not drawn here.</p> : null}
    </section>
  )
}
