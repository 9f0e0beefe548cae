// Runs the commands that README.md and docs/start.md tell people to paste, against a real server.
//
// A fenced `sh` block that follows a comment `<!-- sample expect="regex" -->` is run as it stands; only the address and the
// path of `bongsu` are those of the test's own server. With `background` the command goes on without an end, as `curl -N`
// does, and is stopped once the expected text has come. Every such block must be run and must print what it promises.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, existsSync, rmSync } from 'node:fs'
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

/** The samples of a page: command, expected text, whether it ends by itself. */
function samples(page) {
  const text = readFileSync(join(root, page), 'utf8')
  const pattern = /<!-- sample (background )?expect="((?:\\"|[^"])*)" -->\n+```sh\n([\s\S]*?)```/g
  const found = [...text.matchAll(pattern)].map(([, background, expect, command]) => ({
    page,
    background: Boolean(background),
    expect: new RegExp(expect.replaceAll('\\"', '"'), 's'),
    command,
  }))
  const marked = text.match(/<!-- sample /g)?.length ?? 0
  if (marked !== found.length) throw new Error(`${page}: ${marked} samples are marked, ${found.length} can be read`)
  return found
}

/** Runs one command until it ends, or until its text has come if it does not end. */
function run(sample, url, folder) {
  const command = sample.command.replaceAll('http://127.0.0.1:7070', url).replace(/^bongsu /gm, `"$BONGSU_BIN" `)
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', command], { cwd: folder, env: { ...process.env, BONGSU_URL: url }, detached: true })
    let output = ''
    const stop = () => {
      try { process.kill(-child.pid) } catch { /* it has ended */ }
    }
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`nothing that matches ${sample.expect} in ${PATIENCE_MS / 1000} s; it printed:\n${output}`))
    }, PATIENCE_MS)
    const look = (chunk) => {
      output += chunk
      if (sample.background && sample.expect.test(output)) {
        stop()
      }
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('close', () => {
      clearTimeout(timer)
      if (sample.expect.test(output)) resolve()
      else reject(new Error(`expected ${sample.expect}; it printed:\n${output}`))
    })
  })
}

async function start(folder) {
  const portFile = join(folder, 'port')
  const args = ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data'), '--port-file', portFile]
  const child = spawn(server, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, BONGSU_LOG_LEVEL: 'warn' } })
  const deadline = Date.now() + PATIENCE_MS
  while (!existsSync(portFile)) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error('the server did not start')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { child, url: `http://${readFileSync(portFile, 'utf8').trim()}` }
}

let failed = 0
let passed = 0
for (const page of PAGES) {
  // A page begins with an empty log, as its reader does.
  const folder = mkdtempSync(join(tmpdir(), 'bongsu-samples-'))
  const { child, url } = await start(folder)
  try {
    for (const sample of samples(page)) {
      try {
        await run(sample, url, folder)
        passed += 1
      } catch (error) {
        failed += 1
        console.error(`✗ ${page}: ${sample.command.trim()}\n  ${error.message}\n`)
      }
    }
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}
if (passed + failed === 0) {
  console.error('no samples were found')
  failed = 1
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
