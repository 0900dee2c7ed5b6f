// Screenshots of every page, dark and light, wide and narrow: node test/screens.mjs FOLDER [PAGE…]
// Fails when a page logs an error, breaks the content security policy or runs foreign script.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { launch, openPage, places, sizes, themes } from './browser.mjs'
import { startMock } from './mock.mjs'

const [folder, ...only] = process.argv.slice(2)
if (!folder) throw new Error('usage: node test/screens.mjs FOLDER [PAGE…]')
await mkdir(folder, { recursive: true })
const mock = await startMock({})
const none = await startMock({ empty: true })
const browser = await launch()
let bad = 0
const wanted = (name) => only.length === 0 || only.includes(name)
for (const theme of themes) {
  for (const size of Object.keys(sizes)) {
    const shot = async (page, name) => page.screenshot({ path: join(folder, `${name}-${theme}-${size}.png`) })
    const { page, errors, context } = await openPage(browser, mock.url, { theme, size })
    for (const place of places.filter((p) => wanted(p.name))) {
      await page.goto(mock.url + place.path)
      await page.waitForSelector(place.ready, { timeout: 8000 }).catch(() => errors.push(`${place.name}: ${place.ready} did not come`))
      await page.waitForTimeout(500)
      await shot(page, place.name)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('.main').scrollWidth > document.querySelector('.main').clientWidth)
      if (wide) errors.push(`${place.name} ${size}: wider than the window`)
    }
    if (wanted('offline')) {
      await page.goto(mock.url + '/')
      await page.waitForSelector('.attention-row')
      await page.route('**/v1/**', (r) => r.abort())
      await page.evaluate(() => { window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 50) } send() {} close() {} } })
      mock.cut()
      await page.waitForTimeout(2600)
      await shot(page, 'offline')
      errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('ERR_FAILED') && !e.includes('WebSocket')))
    }
    await context.close()
    if (wanted('empty')) {
      const e = await openPage(browser, none.url, { theme, size })
      for (const [name, path] of [['empty-fleet', '/'], ['empty-runs', '/runs'], ['empty-capacity', '/capacity'], ['empty-setup', '/setup']]) {
        await e.page.goto(none.url + path)
        await e.page.waitForTimeout(700)
        await shot(e.page, name)
      }
      await e.page.keyboard.press('?')
      await e.page.waitForTimeout(200)
      await shot(e.page, 'help')
      await e.context.close()
      const out = await browser.newContext({ viewport: sizes[size], colorScheme: theme })
      const p = await out.newPage()
      await p.goto(none.url + '/')
      await p.waitForSelector('.signin')
      await shot(p, 'signin')
      await out.close()
    }
    for (const e of new Set(errors)) console.log(`${theme} ${size}: ${e}`)
    bad += errors.length
  }
}
await browser.close()
await mock.close()
await none.close()
process.exit(bad ? 1 : 0)
