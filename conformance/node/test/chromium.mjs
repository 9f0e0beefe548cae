// Real Chromium, and a page of another origin than the server's to stand on.

import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium'
// As root there is no sandbox; the rest keeps a closed network quiet.
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export class Chromium {
  #browser
  #site

  async start() {
    this.#browser = await chromium.launch({ executablePath: PROGRAM, args: ARGS })
    this.#site = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>test</title>'))
    await new Promise((resolve) => this.#site.listen(0, '127.0.0.1', resolve))
    return this
  }

  /** An empty page, with an origin as a web site's own. */
  async page() {
    const page = await this.#browser.newPage()
    await page.goto(`http://127.0.0.1:${this.#site.address().port}`)
    return page
  }

  async stop() {
    await this.#browser?.close()
    this.#site?.close()
  }
}
