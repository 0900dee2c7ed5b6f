// axe-core over every page, dark and light, wide and narrow: node test/axe.mjs
// Fails on any violation that axe calls serious or critical.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { launch, openPage, places, themes } from './browser.mjs'
import { startMock } from './mock.mjs'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const mock = await startMock({ calm: true })
const browser = await launch()
let bad = 0
async function check(page, name) {
  await page.evaluate(axe) // over the debugger: the page's security policy stays as it is
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  for (const v of violations) {
    const serious = v.impact === 'serious' || v.impact === 'critical'
    if (serious) bad++
    console.log(`${serious ? 'BAD ' : 'note'} ${name}: ${v.id} (${v.impact}) ${v.help}`)
    for (const n of v.nodes.slice(0, serious ? 4 : 1)) console.log(`       ${n.html.slice(0, 140)}\n       ${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ''}`)
  }
}
for (const theme of themes) {
  for (const size of ['wide', 'narrow']) {
    const { page, context } = await openPage(browser, mock.url, { theme, size })
    for (const place of places) {
      await page.goto(mock.url + place.path)
      await page.waitForSelector(place.ready)
      await page.waitForTimeout(200)
      await check(page, `${place.name} ${theme} ${size}`)
    }
    await page.keyboard.press('?')
    await page.waitForSelector('dialog[open]')
    await check(page, `help ${theme} ${size}`)
    await page.keyboard.press('Escape')
    await page.keyboard.press('Control+k')
    await page.waitForSelector('dialog[open]')
    await check(page, `palette ${theme} ${size}`)
    await context.close()
  }
  const out = await browser.newContext({ colorScheme: theme })
  const page = await out.newPage()
  await page.goto(mock.url + '/')
  await page.waitForSelector('.signin')
  await check(page, `sign-in ${theme}`)
  await out.close()
}
await browser.close()
await mock.close()
console.log(bad ? `${bad} serious violations` : 'no serious violations')
process.exit(bad ? 1 : 0)
