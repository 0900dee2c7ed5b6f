import { useState } from 'react'
import { enter } from '../store/app'
import type { Session } from '../store/app'
import { Brand } from '../parts/icons'

export function SignIn({ problem }: { problem: string }) {
  const [key, setKey] = useState('')
  const [busy, setBusy] = useState(false)
  return (
    <main className="signin">
      <form
        className="panel"
        onSubmit={(e) => {
          e.preventDefault()
          setBusy(true)
          void enter(key).finally(() => setBusy(false))
        }}
      >
        <Brand />
        <h1>Sign in to eyrie</h1>
        <p className="dim">Open the link that <code>eyrie serve</code> printed, or paste a key. The operator’s key lies in <code>eyrie-data/keys/operator</code>.</p>
        <label htmlFor="key">Key</label>
        <input id="key" type="password" autoComplete="current-password" value={key} onChange={(e) => setKey(e.target.value)} required aria-describedby="key-problem" />
        <p id="key-problem" role="alert" className="s-failed">{problem}</p>
        <button className="main" disabled={busy || key.trim() === ''}>{busy ? 'Signing in…' : 'Sign in'}</button>
      </form>
    </main>
  )
}

export function Unreachable({ session }: { session: Extract<Session, { state: 'unreachable' }> }) {
  return (
    <main className="signin">
      <form className="panel" onSubmit={(e) => { e.preventDefault(); void enter('') }}>
        <Brand />
        <h1>The server does not answer</h1>
        <p className="dim">{session.problem}. Is <code>eyrie serve</code> running, and is the tunnel to it open?</p>
        <button className="main">Try again</button>
      </form>
    </main>
  )
}
