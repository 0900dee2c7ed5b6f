// A headless Chromium with a fresh profile, for the browser tests.
import { chromium } from 'playwright-core'

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})

export const sizes = { wide: { width: 1440, height: 900 }, narrow: { width: 400, height: 860 } }
export const themes = ['dark', 'light']

/** A page that is signed in, in one theme and size; `errors` gathers what the console reports. */
export async function openPage(browser, base, { theme = 'dark', size = 'wide' } = {}) {
  const context = await browser.newContext({ viewport: sizes[size], colorScheme: theme, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', (e) => errors.push(String(e)))
  page.on('console', (m) => { if (m.type() === 'error') errors.push(m.text()) })
  page.on('dialog', (d) => { errors.push(`a dialog opened: ${d.message()}`); void d.dismiss() })
  await page.goto(base + '/#key=sample')
  await page.waitForSelector('.rail')
  return { page, errors, context }
}

export const places = [
  { name: 'fleet', path: '/', ready: '.attention-row' },
  { name: 'fleet-ended', path: '/?scope=ended', ready: 'table.grid tbody tr' },
  { name: 'fleet-past', path: `/?at=${Date.now()}`, ready: '.past time' },
  { name: 'agent', path: '/agents/main/m-1', ready: '.uplot' },
  { name: 'agent-span', path: '/agents/main/m-1?span=m-1-tool-2', ready: '.details pre' },
  { name: 'runs', path: '/runs', ready: 'table.grid tbody tr' },
  { name: 'run', path: '/runs/main/run-3', ready: '.waterfall .bar' },
  { name: 'events', path: '/events', ready: 'table.grid tbody tr' },
  { name: 'capacity', path: '/capacity', ready: '.needs' },
  { name: 'capacity-plan', path: '/capacity?times=3&agents=65k&rate=1&metrics=10&viewers=200&price=80', ready: '.needs' },
  { name: 'setup', path: '/setup', ready: '.snippet' },
  { name: 'settings', path: '/settings', ready: '.settings' },
]
