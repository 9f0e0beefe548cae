// A real `bongsu` server for a test: its own data, a port that stays the same over restarts.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const BONGSU = process.env.BONGSU_BIN ?? fail('set BONGSU_BIN to the path of the bongsu program')

function fail(why) {
  throw new Error(why)
}

export class Server {
  #folder = mkdtempSync(join(tmpdir(), 'bongsu-node-'))
  #child
  #address = '127.0.0.1:0'

  async start() {
    const portFile = join(this.#folder, 'port')
    rmSync(portFile, { force: true })
    const args = ['serve', '--listen', this.#address, '--data-dir', join(this.#folder, 'data'), '--port-file', portFile]
    const env = { ...process.env, BONGSU_LOG_LEVEL: 'warn' }
    // In a folder of its own it finds nobody's `bongsu.toml`.
    this.#child = spawn(BONGSU, args, { stdio: ['ignore', 'ignore', 'inherit'], env, cwd: this.#folder })
    const deadline = Date.now() + 20_000
    while (!existsSync(portFile)) {
      if (Date.now() > deadline || this.#child.exitCode !== null) fail('the server did not start')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    this.#address = readFileSync(portFile, 'utf8').trim()
    return this
  }

  get url() {
    return `http://${this.#address}`
  }

  /** Ends the process: `SIGTERM` drains it, `SIGKILL` cuts it. */
  async stop(signal = 'SIGTERM') {
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    await ended
  }

  async publish(channel, data) {
    const answer = await fetch(`${this.url}/v1/channels/${encodeURIComponent(channel)}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(data),
    })
    if (!answer.ok) fail(`publish: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }

  /** Waits until what the server says of a channel is so. */
  async until(channel, condition) {
    const deadline = Date.now() + 10_000
    for (;;) {
      const answer = await fetch(`${this.url}/v1/channels/${encodeURIComponent(channel)}/info`)
      const info = await answer.json()
      if (answer.ok && condition(info)) return
      if (Date.now() > deadline) fail(`${channel} never came to be so; it is ${JSON.stringify(info)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async remove() {
    await this.stop('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
