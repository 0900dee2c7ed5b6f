// Batches work to one run per animation frame. Hidden tabs get no frames, so there a timer stands in.

const waiting = new Set<() => void>()
let asked = false

function run(): void {
  asked = false
  const now = [...waiting]
  waiting.clear()
  for (const fn of now) fn()
}

/** Runs fn once before the next paint, however often it is asked for. */
export function nextFrame(fn: () => void): void {
  waiting.add(fn)
  if (asked) return
  asked = true
  if (document.hidden) setTimeout(run, 500)
  else requestAnimationFrame(run)
}
