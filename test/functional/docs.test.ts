/** The examples of the documentation are run as they stand: what a reader types, and what he then sees. */
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {chownSync, closeSync, copyFileSync, existsSync, globSync, mkdirSync, openSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, aMachine, checkout, eventually, OrdinaryUser, rktProgram, runProgram, webServer} from './harness/index.ts'

interface Example {
  readonly command: string
  readonly output: string
}

/**
 * Fenced blocks marked `console`: lines after `$ ` are typed (they go on behind a backslash, a here-document to its END), the rest is
 * what appears.
 */
function examplesOf(file: string): Example[] {
  const text = readFileSync(join(checkout, file), 'utf8')
  return [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => {
    const examples: {command: string; output: string}[] = []
    let hereDocument = false
    for (const line of block.trimEnd().split('\n')) {
      const last = examples.at(-1)
      if (line.startsWith('$ ')) examples.push({command: line.slice(2), output: ''})
      else if (last && (hereDocument || last.command.endsWith('\\'))) last.command += `\n${line}`
      else if (last) last.output += `${line}\n`
      if (line.includes("<<'END'")) hereDocument = true
      else if (line === 'END') hereDocument = false
    }
    return examples
  })
}

/** `…` stands for anything, also for nothing or several lines; runs of tabs and blanks are alike. */
function looksLike(expected: string): RegExp {
  const pattern = expected
    .trim()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/[\t ]+/g, '[\\t ]+'))
    .join('[\\s\\S]*?')
  return new RegExp(`^${pattern}\\s*$`)
}

/** A shell on a machine of its own, in a directory that is its home. */
interface Desk {
  readonly directory: string
  /** The words that start a program there. */
  readonly within: readonly string[]
}

const programs = ['bin', '.cache/python/bin'].map((path) => join(checkout, path))

const options = ({directory}: Desk) => ({
  env: {
    HOME: directory,
    PATH: [...programs, process.env.PATH, '/usr/sbin', '/sbin'].join(':'),
    RKT: checkout,
    XDG_CONFIG_HOME: undefined,
    XDG_DATA_HOME: undefined,
    XDG_RUNTIME_DIR: undefined,
  },
})

const shell = ({directory, within}: Desk, line: string): string[] => [...within, 'bash', '-c', `cd '${directory}' && ${line}`]

/** Types a line and waits for its end; one that fails says why. */
async function type(desk: Desk, {command, output}: Example): Promise<void> {
  const {status, stderr, stdout} = await runProgram(shell(desk, command), options(desk))
  const all = `$ ${command}\n${stdout}${stderr}`
  const seen = status === 0 ? stdout : `${stdout}${stderr}`
  if (output !== '') assert.match(seen, looksLike(output), `status ${status}\n${all}`)
  else assert.equal(status, 0, all)
}

/** Types a line that ends in `&`; answered once the file that it promises is there. */
async function typeBeside(desk: Desk, {command}: Example): Promise<void> {
  const log = openSync(join(desk.directory, 'log'), 'a')
  const [program = '', ...args] = shell(desk, `exec ${command.slice(0, -1)}`)
  // It ends with the machine.
  spawn(program, args, {env: {...process.env, ...options(desk).env}, stdio: ['ignore', log, log]})
  closeSync(log)
  const file = /--uuid-file-save=(\S+)/.exec(command)?.[1]
  if (file === undefined) return
  const path = join(desk.directory, file)
  // Written in two steps: empty at first.
  await eventually(() => existsSync(path) && readFileSync(path, 'utf8') !== '', `${command} to write ${file}`)
}

async function typeAll(desk: Desk, examples: readonly Example[]): Promise<void> {
  for (const example of examples) await (example.command.endsWith('&') ? typeBeside : type)(desk, example)
}

const readme = examplesOf('README.md')
const built = readme.findIndex(({command}) => command.includes(' fetch app.aci'))

let image: Promise<string> | undefined

/** `app.aci` as a reader of the README makes it, once. */
async function imageOfReadme(): Promise<string> {
  const desk = {directory: '/tmp/rkt-fixtures/docs', within: []}
  mkdirSync(desk.directory, {recursive: true})
  await typeAll(desk, readme.slice(0, built))
  return join(desk.directory, 'app.aci')
}

const guides = ['README.md', ...globSync('docs/*.md', {cwd: checkout}).toSorted(), 'examples/plugin-hello/README.md']

for (const file of guides) {
  const examples = examplesOf(file)
  if (examples.length === 0) continue
  test(`the examples of ${file} do what it says`, async () => {
    await using host = await aHost()
    await using user = file === 'docs/rootless.md' ? new OrdinaryUser() : null
    await using machine = await aMachine()
    const directory = join(user?.home ?? host.dir, 'desk')
    const desk: Desk = {directory, within: [...machine.within, ...(user?.as([]) ?? [])]}
    mkdirSync(directory)
    if (user) chownSync(directory, user.uid, user.uid)
    if (file !== 'README.md') {
      image ??= imageOfReadme()
      copyFileSync(await image, join(directory, 'app.aci'))
      const web = file === 'docs/networking.md' ? await webServer() : ''
      await type(desk, {command: `rkt --insecure-options=image fetch app.aci ${web}`, output: ''})
    }

    await typeAll(desk, examples)
  })
}

test('systemd finds nothing wrong with the units of examples/systemd', async () => {
  await using host = await aHost()
  const names = readdirSync(join(checkout, 'examples/systemd'))
  // It wants the program to be there.
  for (const name of names)
    host.write(name, readFileSync(join(checkout, 'examples/systemd', name), 'utf8').replace('/usr/bin/rkt', rktProgram))

  const {stderr} = await runProgram(['systemd-analyze', 'verify', '--man=no', ...names.map((name) => host.path(name))])

  // What it says of the host's own units is not ours.
  assert.deepEqual(
    stderr.split('\n').filter((line) => names.some((name) => line.includes(name))),
    [],
  )
})

/** What stands in guides and cannot be run here, each with its own tests or none of ours. */
const foreign = /^(?:cosign|grpcurl|journalctl|npm|usermod) /

test('no guide shows a command that is not run', () => {
  for (const file of guides) {
    const text = readFileSync(join(checkout, file), 'utf8')
    const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    const unmarked = blocks.flatMap(([, kind = '', block = '']) => (/^(?:console|ini|json)$/.test(kind) ? [] : block.trim().split('\n')))
    const indented = text.split('\n').filter((line) => /^ {4}(?:[$#] )?(?:rkt|cosign|ln|mount|curl|nft) \S/.test(line))
    const left = [...unmarked.filter((line) => !foreign.test(line)), ...indented]
    assert.deepEqual(left, [], file)
  }
})
