import { agentPath, runPath, setParams, to } from '../../app/router'
import { Link } from '../../app/Link'
import { get, path } from '../../api/http'
import type { SpanShape } from '../../api/shape'
import { spanDetail } from '../../model/map'
import { bounded, cost, count, duration, exact } from '../../model/format'
import type { EventView, SpanView } from '../../model/view'
import { Failed, Loading } from '../../parts/Notice'
import { Payload } from '../../parts/Payload'
import { Status } from '../../parts/State'
import { Id, Line, Moment } from '../../parts/Text'
import { useLoad } from '../../parts/useLoad'
import { useKeys } from '../../app/keys'

const Fact = ({ name, children }: { name: string; children: React.ReactNode }) => <div><dt>{name}</dt><dd>{children}</dd></div>

/** Everything known of one span, beside what it was picked from. */
export function SpanDetails({ space, span, known, onClose }: { space: string; span: string; known: SpanView | undefined; onClose: () => void }) {
  const { data, problem, loading, reload } = useLoad((signal) => get<SpanShape>('/v1/spans' + path(space, span), signal).then(spanDetail), [space, span, known?.open, known?.end])
  useKeys({ Escape: onClose })
  const s = data && data.span === span ? data : known
  return (
    <aside className="panel details" aria-label="Span">
      <header>
        <h2 className="cut">{s ? <Line text={s.name || s.msg || s.type} max={80} /> : 'Span'}</h2>
        <span className="grow" />
        <button type="button" className="quiet" onClick={onClose} aria-label="Close">✕</button>
      </header>
      {problem ? <Failed what="The span could not be read." why={problem} retry={reload} /> : null}
      {s ? (
        <>
          <dl className="facts">
            <Fact name="status"><Status status={s.status} />{s.ends > 1 ? <span className="dim"> ended {s.ends} times</span> : null}{s.noStart ? <span className="dim"> no start was seen</span> : null}</Fact>
            <Fact name="type">{s.type}{s.kind ? <span className="dim"> <Line text={s.kind} max={40} className="" /></span> : null}</Fact>
            <Fact name="began"><span title={exact(s.start)}><Moment at={s.start} /></span>{s.estimated ? <span className="dim"> estimated</span> : null}</Fact>
            <Fact name="took">{s.open ? 'still open' : duration(s.dur)}</Fact>
            {s.attempt > 1 ? <Fact name="attempt">{s.attempt}</Fact> : null}
            {s.error ? <Fact name="error"><span className="mono">{s.error.code}</span> <Line text={s.error.msg} className="" max={600} /></Fact> : null}
            {s.usage ? (
              <Fact name="usage">
                {bounded(count(s.usage.tokens), s.usage.quality)} tokens, {cost(s.usage.cost, s.usage.quality, s.usage.tokens)}
                <span className="dim small"> in {count(s.usage.input)}, out {count(s.usage.output)}, cache read {count(s.usage.cacheRead)}, write {count(s.usage.cacheWrite)}</span>
              </Fact>
            ) : null}
            <Fact name="agent"><Link to={to(agentPath(s.space, s.agent))}><Id id={s.agent} /></Link></Fact>
            {s.run ? <Fact name="run"><Link to={to(runPath(s.space, s.run), { span: s.span })}><Id id={s.run} /></Link></Fact> : null}
            {s.parent ? <Fact name="parent"><button type="button" className="quiet flat" onClick={() => setParams({ span: s.parent })}><Id id={s.parent} /></button></Fact> : null}
            <Fact name="span"><Id id={s.span} full /></Fact>
            <Fact name="offsets"><span className="mono">{s.startOffset || '–'} … {s.endOffset || '–'}</span></Fact>
          </dl>
          {s.msg && s.msg !== s.name ? <Payload title="message" value={s.msg} /> : null}
        </>
      ) : null}
      {data && data.span === span ? (
        <>
          <Payload title={s?.type === 'llm' ? 'prompt' : 'arguments'} value={data.input} space={space} />
          <Payload title={s?.type === 'llm' ? 'answer' : 'result'} value={data.output} space={space} />
          <Payload title="attributes" value={data.attrs} space={space} />
          <Payload title="links" value={data.links} />
        </>
      ) : loading ? <Loading what="the span" /> : null}
    </aside>
  )
}

export function EventDetails({ event, onClose }: { event: EventView; onClose: () => void }) {
  useKeys({ Escape: onClose })
  return (
    <aside className="panel details" aria-label="Event">
      <header>
        <h2>{event.type} <span className="dim">{event.phase === 'whole' ? '' : event.phase}</span></h2>
        <span className="mono dim">#{event.offset}</span>
        <span className="grow" />
        <button type="button" className="quiet" onClick={onClose} aria-label="Close">✕</button>
      </header>
      <dl className="facts">
        <Fact name="at"><span title={exact(event.at)}><Moment at={event.at} /></span></Fact>
        {event.agent ? <Fact name="agent"><Link to={to(agentPath(event.space, event.agent), event.span ? { span: event.span } : {})}><Id id={event.agent} /></Link></Fact> : null}
        {event.run ? <Fact name="run"><Link to={to(runPath(event.space, event.run), event.span ? { span: event.span } : {})}><Id id={event.run} /></Link></Fact> : null}
      </dl>
      <Payload title="event" value={event.raw} space={event.space} />
    </aside>
  )
}
