// The pages in a browser: sign-in, keyboard, holding, resume, hostile text. node test/pages.mjs
import assert from 'node:assert/strict'
import { launch, openPage } from './browser.mjs'
import { startMock } from './mock.mjs'

const mock = await startMock({})
const browser = await launch()
const { page, errors, context } = await openPage(browser, mock.url)
const step = async (name, fn) => {
  await fn()
  console.log(`ok  ${name}`)
}
const at = () => new URL(page.url()).pathname + new URL(page.url()).search

await step('the key leaves the address', async () => {
  assert.equal(new URL(page.url()).hash, '')
})
await step('rows by keyboard, Enter opens, Escape goes back', async () => {
  await page.waitForSelector('table.grid tbody tr')
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  assert.equal(await page.locator('tr[aria-selected=true]').count(), 1)
  await page.keyboard.press('Enter')
  await page.waitForSelector('.agent-head')
  assert.match(at(), /^\/agents\/main\//)
  await page.keyboard.press('Escape')
  await page.waitForSelector('.attention')
})
await step('g r, g e, g f go to pages', async () => {
  for (const [key, path] of [['r', '/runs'], ['e', '/events'], ['f', '/']]) {
    await page.keyboard.press('g')
    await page.keyboard.press(key)
    await page.waitForFunction((p) => location.pathname === p, path)
  }
})
await step('the palette finds an agent', async () => {
  await page.keyboard.press('Control+k')
  await page.keyboard.type('w-17')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => location.pathname === '/agents/main/w-17')
  await page.keyboard.press('Escape')
})
await step('the query is in the address', async () => {
  await page.waitForSelector('.attention-row')
  await page.keyboard.press('/')
  await page.keyboard.type('role:tester')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => new URL(location.href).searchParams.get('q') === 'role:tester')
  await page.goBack()
  await page.waitForFunction(() => !location.search)
})
await step('a state narrows the table', async () => {
  await page.waitForSelector('table.grid tbody tr:nth-child(5)')
  await page.locator('.strip .count', { hasText: 'stuck' }).click()
  await page.waitForFunction(() => [...document.querySelectorAll('table.grid tbody tr:not(.space)')].every((r) => r.textContent.includes('stuck')))
  await page.locator('.strip .count', { hasText: 'stuck' }).click()
})
await step('a cell opens its agent', async () => {
  await page.locator('.cells canvas').click({ position: { x: 8, y: 24 } })
  await page.waitForSelector('.agent-head')
})
await step('dragging on the timeline zooms all charts, a double click goes back', async () => {
  await page.waitForSelector('.uplot')
  const box = await page.locator('.timeline canvas').boundingBox()
  await page.mouse.move(box.x + 300, box.y + 40)
  await page.mouse.down()
  await page.mouse.move(box.x + 600, box.y + 40, { steps: 4 })
  await page.mouse.up()
  await page.waitForFunction(() => /t=\d+\.\.\d+/.test(decodeURIComponent(location.search)))
  await page.locator('.timeline canvas').dblclick({ position: { x: 400, y: 8 } })
  await page.waitForFunction(() => !location.search.includes('t='))
})
await step('dragging on a chart zooms too', async () => {
  const box = await page.locator('.u-over').first().boundingBox()
  await page.mouse.move(box.x + 40, box.y + 40)
  await page.mouse.down()
  await page.mouse.move(box.x + 160, box.y + 40, { steps: 4 })
  await page.mouse.up()
  await page.waitForFunction(() => /t=\d+\.\.\d+/.test(decodeURIComponent(location.search)))
  await page.locator('.u-over').first().dblclick({ position: { x: 60, y: 40 } })
  await page.waitForFunction(() => !location.search.includes('t='))
})
await step('held, the page stands still and counts; then it goes on', async () => {
  await page.keyboard.press('g')
  await page.keyboard.press('f')
  await page.keyboard.press('.')
  await page.waitForSelector('text=/Held · \\d+ new/')
  await page.keyboard.press('.')
  await page.waitForSelector('button:has-text("Live")[aria-pressed=false]')
})
await step('after a cut it comes back by itself', async () => {
  mock.cut()
  await page.waitForSelector('.linkstate:has-text("offline"), .linkstate:has-text("connecting")')
  await page.waitForSelector('.linkstate:has-text("live")', { timeout: 10_000 })
})
await step('foreign text is text', async () => {
  await page.goto(mock.url + '/agents/main/m-6')
  await page.waitForSelector('.agent-head h1')
  assert.match(await page.locator('.agent-head h1').textContent(), /^<img src=x onerror=alert\(1\)> \ufffdgnp/)
  assert.equal(await page.locator('img').count(), 0)
})
await step('an agent nobody knows is said to be unknown', async () => {
  await page.goto(mock.url + '/agents/main/nobody')
  await page.waitForSelector('text=There is no such agent')
})
await step('signing out leads to the sign-in page, a wrong key stays there', async () => {
  await page.goto(mock.url + '/settings')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.fill('#key', 'wrong')
  await page.keyboard.press('Enter')
  await page.waitForSelector('text=The server does not know this key.')
  await page.fill('#key', 'sample')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.rail')
})
const left = errors.filter((e) => !/status of 40[14]/.test(e))
assert.deepEqual(left, [])
await context.close()
await browser.close()
await mock.close()
console.log('all pages behave')
