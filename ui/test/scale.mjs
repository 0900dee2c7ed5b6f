// 65,000 agents: how long frames take while the fleet changes and the page scrolls.
// node test/scale.mjs [AGENTS]; prints figures, fails when frames take more than 33 ms at the 95th percentile while agents change.
import { launch, openPage } from './browser.mjs'
import { startMock } from './mock.mjs'

const agents = Number(process.argv[2] ?? 65_000)
const mock = await startMock({ agents })
const browser = await launch()
const begun = performance.now()
const { page, errors } = await openPage(browser, mock.url)
await page.waitForFunction((n) => document.querySelector('.cells canvas')?.getAttribute('aria-label')?.startsWith(String(n)), agents, { timeout: 120_000 })
const loaded = performance.now() - begun
await page.waitForTimeout(2000)
const measure = (scroll) => page.evaluate(async (scroll) => {
  const main = document.getElementById('main')
  const out = []
  let last = performance.now()
  for (let i = 0; i < 240; i++) {
    if (scroll) main.scrollTop = 2000 + (i % 150) * 200
    await new Promise(requestAnimationFrame)
    const now = performance.now()
    out.push(now - last)
    last = now
  }
  return out.sort((a, b) => a - b)
}, scroll)
const still = await measure(false)
const scrolled = await measure(true)
const paint = await page.evaluate(async () => {
  // A change of theme paints all cells anew.
  const times = []
  for (const theme of ['light', 'dark', 'light', 'dark']) {
    const at = performance.now()
    document.documentElement.dataset.theme = theme
    await new Promise((r) => setTimeout(r))
    times.push(performance.now() - at)
  }
  return Math.min(...times)
})
const at = (frames, share) => frames[Math.floor(frames.length * share)].toFixed(1)
const said = (frames) => `p50 ${at(frames, 0.5)} ms, p95 ${at(frames, 0.95)} ms, p99 ${at(frames, 0.99)} ms`
console.log(`${agents} agents: all there after ${(loaded / 1000).toFixed(1)} s; frames while they change: ${said(still)}; while the table scrolls 12,000 px/s without a GPU: ${said(scrolled)}; painting all cells ${paint.toFixed(0)} ms`)
if (process.argv[3]) await page.screenshot({ path: process.argv[3] })
await browser.close()
await mock.close()
for (const e of errors) console.log(e)
process.exit(errors.length || Number(at(still, 0.95)) > 33 ? 1 : 0)
