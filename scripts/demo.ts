/**
 * npm run demo: a web server from its source to a pod and back to nothing, by the commands that a user would type. Works in a
 * directory of its own, which is gone afterwards, also when a step fails or the user interrupts it.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {createServer} from 'node:net'
import {join, relative, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

const checkout = resolve(import.meta.dirname, '..')
const rkt = join(checkout, 'bin/rkt')
mkdirSync(join(checkout, '.cache'), {recursive: true})
const directory = mkdtempSync(join(checkout, '.cache/demo-'))
const globals = [`--dir=${join(directory, 'data')}`, '--insecure-options=image']
const interrupted = new AbortController()
let pod: ChildProcess | undefined
let steps = 0

for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)))
try {
  await demo()
} catch (error) {
  const reason = interrupted.signal.aborted ? interrupted.signal.reason : error
  console.error(`\ndemo: ${reason instanceof Error ? reason.message : String(reason)}`)
  process.exitCode = 1
} finally {
  await cleanUp()
}

async function demo(): Promise<void> {
  const port = await freePort()
  const image = join(directory, 'hello.aci')
  const uuidFile = join(directory, 'uuid')

  say('Build an image: the web server of examples/hello, compiled, with its manifest, packed by "rkt image build".')
  await show(join(checkout, 'examples/hello/build.sh'), [image])

  say('Run it as a pod on the default network, its port on the host. rkt becomes the pod: no daemon, and no Node process stays.')
  pod = startPod(['run', `--port=http:${port}`, `--uuid-file-save=${uuidFile}`, image])
  const uuid = await uuidOf(uuidFile)
  await rktCommand('status', '--wait-ready=30s', uuid)
  const program = readFileSync(`/proc/${pod.pid}/comm`, 'utf8').trim()
  console.log(`  process ${pod.pid}, started as rkt, is now "${program}"`)

  say('Ask it over HTTP.')
  console.log(`  $ curl http://127.0.0.1:${port}/`)
  console.log(`  ${(await ask(`http://127.0.0.1:${port}/`)).trim()}`)

  say('See what runs.')
  await rktCommand('list')
  await rktCommand('status', uuid)

  say('Stop the pod: TERM to the app, and the exit status of "rkt run" is the pod\'s.')
  await rktCommand('stop', uuid)
  const [status] = pod.exitCode === null ? await once(pod, 'exit', {signal: interrupted.signal}) : [pod.exitCode]
  console.log(`  rkt run ended with status ${status}`)
  if (status !== 0) throw new Error(`the pod ended with status ${status} instead of 0`)
  await rktCommand('list')

  say('Collect it: its directory goes, and with it all that the pod was.')
  await rktCommand('gc', '--grace-period=0s')
  await rktCommand('list')

  say('Done: an image was built, run, asked, stopped and collected, and nothing of it is left.')
}

function say(what: string): void {
  console.log(`\n${++steps}. ${what}`)
}

/** Prints a command as a user would type it, then runs it, its output indented. */
async function show(program: string, args: readonly string[]): Promise<void> {
  console.log(`  $ ${typed(program, args)}`)
  const child = spawn(program, args, {signal: interrupted.signal, stdio: ['ignore', 'pipe', 'pipe']})
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [status] = await once(child, 'close')
  for (const line of output.trimEnd().split('\n')) if (line !== '') console.log(`  ${line}`)
  if (status !== 0) throw new Error(`"${typed(program, args)}" ended with status ${status}`)
}

async function rktCommand(...args: string[]): Promise<void> {
  await show(rkt, [...globals, ...args])
}

function startPod(args: readonly string[]): ChildProcess {
  console.log(`  $ ${typed(rkt, [...globals, ...args])} &`)
  const child = spawn(rkt, [...globals, ...args], {stdio: ['ignore', 'pipe', 'pipe']})
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.trimEnd().split('\n')) console.log(`  | ${line}`)
    })
  }
  return child
}

function typed(program: string, args: readonly string[]): string {
  const short = (word: string): string => word.replaceAll(directory, relative(checkout, directory))
  return [relative(checkout, program), ...args].map(short).join(' ')
}

async function uuidOf(file: string): Promise<string> {
  for (let tries = 0; tries < 300; tries++) {
    interrupted.signal.throwIfAborted()
    const uuid = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
    if (uuid !== '') return uuid
    if (pod && (pod.exitCode !== null || pod.signalCode !== null)) break
    await sleep(100)
  }
  throw new Error('rkt run did not start a pod (its own message is above)')
}

async function ask(url: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      const response = await fetch(url, {signal: interrupted.signal})
      if (!response.ok) throw new Error(`the server answered with status ${response.status}`)
      return await response.text()
    } catch (error) {
      interrupted.signal.throwIfAborted()
      if (tries === 50) throw new Error(`nobody answers at ${url}`, {cause: error})
      await sleep(100) // the app may not listen yet
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('the system gave no TCP port')
  return address.port
}

/** Whatever state the demo was left in: no process, no pod, no file of it stays. */
async function cleanUp(): Promise<void> {
  if (pod && pod.exitCode === null && pod.signalCode === null) {
    pod.kill('SIGTERM')
    await Promise.race([once(pod, 'exit'), sleep(15_000)])
    pod.kill('SIGKILL')
  }
  spawnSync(rkt, [...globals, 'gc', '--grace-period=0s', '--expire-prepared=0s'], {stdio: 'ignore'})
  rmSync(directory, {force: true, recursive: true})
}
