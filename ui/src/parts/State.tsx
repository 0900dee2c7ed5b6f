import type { Show } from '../model/view'

export const words: Record<Show, string> = {
  running: 'running', waiting: 'waiting', idle: 'idle', stuck: 'stuck', silent: 'silent', failed: 'failed', unknown: 'unknown', ended: 'ended',
}

/** The shape that stands for a state beside its colour. */
export function Shape({ show }: { show: Show }) {
  return (
    <svg className={`shape s-${show}`} viewBox="0 0 12 12" aria-hidden="true">
      {shapes[show]}
    </svg>
  )
}

const shapes: Record<Show, React.ReactNode> = {
  running: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  waiting: (
    <>
      <circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" strokeWidth="1.5" />
      <path d="M6 1.75a4.25 4.25 0 0 1 0 8.5z" fill="currentColor" />
    </>
  ),
  idle: <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  stuck: <path d="M6 1 11.2 10.5H.8z" fill="currentColor" />,
  silent: <circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" strokeWidth="1.75" strokeDasharray="2.2 2.25" />,
  failed: <rect x="1.75" y="1.75" width="8.5" height="8.5" fill="currentColor" />,
  unknown: (
    <>
      <rect x="1.5" y="1.5" width="9" height="9" fill="none" stroke="currentColor" strokeWidth="1" />
      <path d="M1.5 6 6 1.5M1.5 10.5l9-9M6 10.5 10.5 6" stroke="currentColor" strokeWidth="1" />
    </>
  ),
  ended: <rect x="2" y="5.25" width="8" height="1.5" fill="currentColor" />,
}

export function State({ show, detail }: { show: Show; detail?: string }) {
  return (
    <span className="state">
      <Shape show={show} />
      <span>{words[show]}{detail ? <span className="dim"> {detail}</span> : null}</span>
    </span>
  )
}

const statusShow: Record<string, Show> = {
  ok: 'ended', error: 'failed', denied: 'waiting', cancelled: 'idle', interrupted: 'idle', timeout: 'stuck', unknown: 'unknown', open: 'running',
}

/** How a span ended. An open one is running; ok is quiet. */
export function Status({ status }: { status: string }) {
  const show = statusShow[status] ?? 'unknown'
  return (
    <span className="state">
      <Shape show={show} />
      <span className={status === 'ok' ? 'dim' : ''}>{status}</span>
    </span>
  )
}
