// Real recorded webhook payloads, of many shapes and sizes: what each of the five ways delivers is equal, value for value, to
// what `bongsu pub` was fed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'
import WebSocket from 'ws'

import { BONGSU, Server } from './server.mjs'

const examples = createRequire(import.meta.url)('@octokit/webhooks-examples')

const CHANNEL = 'webhooks'
const published = examples.flatMap(({ name, examples }) => examples.map((data) => ({ type: name, data })))
let server

before(async () => {
  server = await new Server().start()
  const feed = spawn(BONGSU, ['pub', '--ndjson', '-', '--url', server.url], { stdio: ['pipe', 'ignore', 'pipe'] })
  const ended = once(feed, 'close')
  let said = ''
  feed.stderr.on('data', (chunk) => { said += chunk })
  for (const { type, data } of published) feed.stdin.write(`${JSON.stringify({ channel: CHANNEL, type, data })}\n`)
  feed.stdin.end()
  const [code] = await ended
  assert.equal(code, 0, `bongsu pub failed: ${said}`)
})

after(() => server?.remove())

const url = (query = '') => `${server.url}/v1/channels/${CHANNEL}?since=start${query}`

async function poll(wait = '') {
  const events = []
  let since = 'start'
  for (;;) {
    const answer = await fetch(`${server.url}/v1/channels/${CHANNEL}?since=${since}&limit=50${wait}`)
    const page = await answer.json()
    events.push(...page.events)
    since = page.cursor
    if (!page.more) return events
  }
}

/** Reads a stream of text until `take` has found every event in it. */
async function stream(accept, take) {
  const stop = new AbortController()
  const answer = await fetch(url(), { headers: { Accept: accept }, signal: stop.signal })
  let text = ''
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    text += piece
    if (text.includes('"$live"')) break
  }
  stop.abort()
  return take(text)
}

const ndjson = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
const sse = (text) =>
  text.split('\n\n').flatMap((block) => {
    const data = block.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6))
    return data.length ? [JSON.parse(data.join('\n'))] : []
  })

function websocket() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url().replace('http', 'ws'))
    const objects = []
    socket.on('error', reject)
    socket.on('message', (data) => {
      objects.push(JSON.parse(data))
      if (objects.at(-1).type === '$live') {
        socket.close()
        resolve(objects)
      }
    })
  })
}

const WAYS = {
  poll: () => poll(),
  longpoll: () => poll('&wait=5'),
  stream: () => stream('application/x-ndjson', ndjson),
  sse: () => stream('text/event-stream', sse),
  websocket,
}

describe(`${published.length} recorded payloads`, () => {
  it('are many and of many shapes', () => {
    assert.ok(published.length > 200, `${published.length}`)
    assert.ok(new Set(published.map(({ type }) => type)).size > 40)
  })

  for (const [way, read] of Object.entries(WAYS)) {
    it(`arrive unchanged by ${way}`, async () => {
      const events = (await read()).filter(({ type }) => !type?.startsWith('$'))
      assert.equal(events.length, published.length)
      for (const [index, event] of events.entries()) {
        assert.equal(event.offset, index + 1)
        assert.equal(event.type, published[index].type)
        assert.deepEqual(event.data, published[index].data)
      }
    })
  }
})
