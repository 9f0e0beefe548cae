// The code for web pages that README.md, README.ko.md and docs/start.md show, run as it stands in Chromium.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'

import { Chromium } from './chromium.mjs'
import { Server } from './server.mjs'

const root = new URL('../../../', import.meta.url)
const DEFAULT = '127.0.0.1:7070'

/** The code blocks of a page in this language, as a browser would be given them. */
function blocks(file, language) {
  const text = readFileSync(new URL(file, root), 'utf8')
  const found = [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, code]) => code)
  return language === 'js' ? found.map((code) => `<script>${code}</script>`) : found
}

/** What a page must print on the console once its server has been published to. */
const CASES = [
  { file: 'README.md', language: 'html', channel: 'orders', hears: '"order":17' },
  { file: 'README.ko.md', language: 'html', channel: 'orders', hears: '"order":17' },
  { file: 'docs/start.md', language: 'js', channel: 'shop:7', hears: '"order":17' },
  { file: 'docs/start.md', language: 'js', channel: 'shop:8', hears: '"order":17' },
]

let browser

before(async () => { browser = await new Chromium().start() })
after(() => browser?.stop())

describe('code for web pages', () => {
  for (const { file, language, channel, hears } of CASES) {
    it(`of ${file} hears ${channel}`, async () => {
      const server = await new Server().start()
      try {
        const page = await browser.page()
        const said = []
        const heard = new Promise((resolve) => {
          page.on('console', async (message) => {
            said.push(JSON.stringify(await message.args()[0]?.jsonValue()))
            if (said.at(-1)?.includes(hears)) resolve()
          })
        })
        const [code, ...others] = blocks(file, language)
        assert.ok(code && others.length === 0, `${file} has one block of ${language}`)
        await page.setContent(code.replaceAll(DEFAULT, server.url.replace('http://', '')))
        await server.until(channel, (info) => info.subscribers.total === 1)
        await server.publish(channel, { order: 17 })
        await Promise.race([heard, new Promise((_, reject) => setTimeout(() => reject(new Error(`it printed ${said}`)), 10_000).unref())])
        await page.close()
      } finally {
        await server.remove()
      }
    })
  }
})
