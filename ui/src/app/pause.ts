// Live or held: one switch for everything that moves on the page.
import { createStore } from 'zustand/vanilla'
import { fleet } from '../store/app'

export const pause = createStore<{ paused: boolean }>(() => ({ paused: false }))

export function setPaused(paused: boolean): void {
  pause.setState({ paused })
  fleet.pause(paused)
}

export const togglePause = () => setPaused(!pause.getState().paused)
