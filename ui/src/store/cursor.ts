// The instant under the pointer, shared by everything on the page that has a time axis.
import { createStore } from 'zustand/vanilla'

export const cursor = createStore<{ at: number; by: string }>(() => ({ at: 0, by: '' }))

/** at 0: the pointer left. by: who says it, so that a chart does not answer itself. */
export const pointAt = (at: number, by: string) => cursor.setState({ at, by })
