// Runs the commands that README.md, README.ko.md and docs/start.md tell people to paste, against a real server.
//
// A fenced `sh` block that follows a comment `<!-- sample expect="regex" -->` is run as it stands; only the address and the
// path of `bongsu` are those of the test's own server. It must end well and print what it promises. With `background` the
// command goes on without an end, as `curl -N` does, and the expected text means that it listens; with `then="regex"` it
// is left running and must have printed that too by the end of the page. Blocks without a comment may only call Cargo.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const server = process.env.BONGSU_BIN
const PAGES = ['README.md', 'README.ko.md', 'docs/start.md']
const PATIENCE_MS = 20_000

if (!server) {
  console.error('set BONGSU_BIN to the path of the bongsu program')
  process.exit(2)
}

const regex = (text) => text && new RegExp(text.replaceAll('\\"', '"'), 's')

/** The samples of a page: command, expected texts, whether it ends by itself. */
function samples(page) {
  const text = readFileSync(join(root, page), 'utf8')
  const quoted = '"((?:\\\\"|[^"])*)"'
  const pattern = new RegExp(`(?:<!-- sample (background )?expect=${quoted}(?: then=${quoted})? -->\\n+)?\`\`\`sh\\n([\\s\\S]*?)\`\`\``, 'g')
  const blocks = [...text.matchAll(pattern)].map(([, background, expect, then, command]) => ({
    background: Boolean(background),
    expect: regex(expect),
    then: regex(then),
    command: command.trim(),
  }))
  const found = blocks.filter(({ expect }) => expect)
  const marked = text.match(/<!-- sample /g)?.length ?? 0
  if (marked !== found.length) throw new Error(`${page}: ${marked} samples are marked, ${found.length} can be read`)
  const unmarked = blocks.find(({ expect, command }) => !expect && !command.split('\n').every((line) => line.startsWith('cargo ')))
  if (unmarked) throw new Error(`${page}: nobody runs this, for want of a comment \`<!-- sample expect="…" -->\`: ${unmarked.command}`)
  return found
}

/** A command that runs, and what it has printed so far. */
class Run {
  output = ''
  #child
  #ended
  #look = () => {}

  constructor(command, url, folder) {
    const own = command.replaceAll('http://127.0.0.1:7070', url).replace(/^bongsu /gm, `"$BONGSU_BIN" `)
    // A process group of its own, so that all of a pipeline can be stopped.
    this.#child = spawn('bash', ['-c', own], { cwd: folder, env: { ...process.env, BONGSU_URL: url, CURL_HOME: folder }, detached: true })
    const take = (chunk) => {
      this.output += chunk
      this.#look()
    }
    this.#child.stdout.on('data', take)
    this.#child.stderr.on('data', take)
    this.#ended = new Promise((resolve) => this.#child.on('close', (code) => resolve(code)))
  }

  /** Waits until this text has come. */
  async prints(expected) {
    const came = new Promise((resolve) => {
      this.#look = () => expected.test(this.output) && resolve(true)
      this.#look()
    })
    if (!(await this.#before(Promise.race([came, this.#ended])))) throw this.#failure(`expected ${expected}`)
  }

  /** Waits until it has ended well. */
  async ends() {
    const code = await this.#before(this.#ended.then((code) => `status ${code}`))
    if (code !== 'status 0') throw this.#failure(code ?? 'it does not end')
  }

  async stop() {
    try { process.kill(-this.#child.pid) } catch { /* it has ended */ }
    await this.#ended
  }

  async #before(promise) {
    let timer
    const late = new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE_MS) })
    return Promise.race([promise, late]).finally(() => clearTimeout(timer))
  }

  #failure(why) {
    return new Error(`${why}; it printed:\n${this.output}`)
  }
}

/** Runs one sample; gives it back if it goes on running. */
async function check({ command, background, expect, then }, url, folder) {
  const run = new Run(command, url, folder)
  try {
    if (!background) await run.ends()
    await run.prints(expect)
  } catch (error) {
    await run.stop()
    throw error
  }
  if (then) return run
  await run.stop()
  return undefined
}

async function start(folder) {
  const portFile = join(folder, 'port')
  const args = ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data'), '--port-file', portFile]
  const env = { ...process.env, BONGSU_LOG_LEVEL: 'warn' }
  // In a folder of its own it finds nobody's `bongsu.toml`.
  const child = spawn(server, args, { stdio: ['ignore', 'ignore', 'inherit'], env, cwd: folder })
  const deadline = Date.now() + PATIENCE_MS
  while (!existsSync(portFile)) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error('the server did not start')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { child, url: `http://${readFileSync(portFile, 'utf8').trim()}` }
}

let failed = 0
let passed = 0

async function count(page, command, what) {
  const title = `${page}: ${command.replace(/\s+/g, ' ')}`
  try {
    const result = await what()
    passed += 1
    console.log(`✔ ${title}`)
    return result
  } catch (error) {
    failed += 1
    console.log(`✖ ${title}\n  ${error.message}\n`)
    return undefined
  }
}

for (const page of PAGES) {
  // A page begins with an empty log, as its reader does.
  const folder = mkdtempSync(join(tmpdir(), 'bongsu-samples-'))
  const { child, url } = await start(folder)
  // Without the progress meter a failure is easier to read.
  writeFileSync(join(folder, '.curlrc'), 'no-progress-meter\n')
  const listening = []
  try {
    for (const sample of samples(page)) {
      const run = await count(page, sample.command, () => check(sample, url, folder))
      if (run) listening.push({ sample, run })
    }
    for (const { sample, run } of listening) {
      await count(page, `${sample.command} (to the end)`, () => run.prints(sample.then))
    }
  } finally {
    for (const { run } of listening) await run.stop()
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}
if (passed + failed === 0) {
  console.log('no samples were found')
  failed = 1
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
