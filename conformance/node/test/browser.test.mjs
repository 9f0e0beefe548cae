// The browser's own EventSource and WebSocket, in real Chromium, from a page of another origin, over server restarts.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Chromium } from './chromium.mjs'
import { Server } from './server.mjs'

let browser

before(async () => { browser = await new Chromium().start() })
after(() => browser?.stop())

/** A page that listens with EventSource, and what it has heard. */
async function listen(url) {
  const page = await browser.page()
  await page.evaluate((url) => {
    globalThis.heard = { events: [], ids: [], opens: 0, lives: 0, closes: 0, gaps: 0 }
    const source = new EventSource(url)
    globalThis.source = source
    source.onopen = () => { heard.opens += 1 }
    source.onmessage = (message) => {
      heard.events.push(JSON.parse(message.data))
      heard.ids.push(message.lastEventId)
    }
    source.addEventListener('$live', () => { heard.lives += 1 })
    source.addEventListener('$close', () => { heard.closes += 1 })
    source.addEventListener('$gap', () => { heard.gaps += 1 })
  }, url)
  const heard = () => page.evaluate(() => heard)
  const until = (condition) => page.waitForFunction(condition, undefined, { timeout: 30_000 })
  return { page, heard, until }
}

describe('EventSource in Chromium', () => {
  for (const signal of ['SIGKILL', 'SIGTERM']) {
    it(`receives, and resumes over a restart by ${signal}`, async () => {
      const server = await new Server().start()
      try {
        const { page, heard, until } = await listen(`${server.url}/v1/channels/${encodeURIComponent('봉수:1')}`)
        await until(() => heard.lives === 1)
        for (const n of [1, 2, 3]) await server.publish('봉수:1', { n, text: 'first\nlight 🔥' })
        await until(() => heard.events.length === 3)
        await server.stop(signal)
        // A drain says goodbye; a kill cannot.
        if (signal === 'SIGTERM') await until(() => heard.closes === 1)
        await server.start()
        // Published while the page is away or on its way back: it must hear all of them.
        for (const n of [4, 5, 6]) await server.publish('봉수:1', { n, text: 'first\nlight 🔥' })
        await until(() => heard.events.length >= 6 && heard.lives >= 2)
        await server.publish('봉수:1', { n: 7, text: 'first\nlight 🔥' })
        await until(() => heard.events.length >= 7)
        const { events, ids, opens, gaps } = await heard()
        assert.deepEqual(events.map(({ data }) => data.n), [1, 2, 3, 4, 5, 6, 7], 'each once, in order')
        assert.deepEqual(events.map(({ offset }) => offset), [1, 2, 3, 4, 5, 6, 7], 'of one and the same log')
        assert.equal(gaps, 0)
        assert.ok(events.every(({ data }) => data.text === 'first\nlight 🔥'))
        assert.equal(new Set(ids).size, 7)
        assert.ok(opens >= 2, 'it came back by itself')
        await page.close()
      } finally {
        await server.remove()
      }
    })
  }

  it('gives up for good when it is refused for good', async () => {
    const server = await new Server().start()
    try {
      const { page } = await listen(`${server.url}/v1/channels/a?sinse=start`)
      await page.waitForFunction(() => source.readyState === EventSource.CLOSED, undefined, { timeout: 10_000 })
      await page.close()
    } finally {
      await server.remove()
    }
  })
})

describe('WebSocket in Chromium', () => {
  it('reads, publishes and subscribes', async () => {
    const server = await new Server().start()
    try {
      const page = await browser.page()
      const objects = await page.evaluate((url) => new Promise((resolve, reject) => {
        const objects = []
        const socket = new WebSocket(url, ['bongsu.v1'])
        const say = (command) => socket.send(JSON.stringify(command))
        socket.onerror = () => reject(new Error('the socket failed'))
        socket.onopen = () => {
          say({ op: 'subscribe', channels: ['b'], ref: 1 })
          say({ op: 'publish', channel: 'b', data: { hello: '세계' }, ref: 2 })
        }
        socket.onmessage = ({ data }) => {
          objects.push(JSON.parse(data))
          const done = objects.some(({ ref }) => ref === 2) && objects.some(({ channel, data }) => channel === 'b' && data)
          if (done) resolve(objects)
        }
        setTimeout(() => reject(new Error(JSON.stringify(objects))), 10_000)
      }), `${server.url.replace('http', 'ws')}/v1/channels/a`)
      assert.equal(objects[0].type, '$open')
      assert.deepEqual(objects.find(({ ref }) => ref === 1).ok.channels, ['b'])
      assert.equal(objects.find(({ ref }) => ref === 2).ok.offset, 1)
      assert.deepEqual(objects.find(({ channel, offset }) => channel === 'b' && offset === 1).data, { hello: '세계' })
      await page.close()
    } finally {
      await server.remove()
    }
  })
})
