// The server's time, ticking once a second for everything that reads "12 s ago".
import { createStore } from 'zustand/vanilla'

export const clock = createStore<{ now: number }>(() => ({ now: Date.now() }))

let skew = 0

/** Server time in ms. */
export const now = () => Date.now() + skew

export function setSkew(ms: number): void {
  skew = Math.abs(ms) < 50 ? 0 : ms
}

let held = 0

/** Holds the clock at an instant (ms) while a page shows the past; 0 lets it go on. */
export function holdClock(ms: number): void {
  held = ms
  clock.setState({ now: held || now() })
}

/** Starts the tick; returns what stops it. */
export function startClock(): () => void {
  const id = setInterval(() => clock.setState({ now: held || now() }), 1000)
  return () => clearInterval(id)
}
