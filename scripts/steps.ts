/**
 * Steps of a build: each is a script, what it reads and what it leaves. A step whose inputs have not changed since it last
 * succeeded, and whose outputs are there, is not run again.
 */
import {spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

export const checkout = resolve(import.meta.dirname, '..')

export interface Step {
  readonly name: string
  /** What the user reads while it runs. */
  readonly says: string
  readonly script: string
  /** Files and directories, relative to the checkout. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** Runs a step unless it is up to date. */
export async function perform(step: Step): Promise<void> {
  const stamp = join(checkout, '.cache/build', step.name)
  const digest = digestOf([...step.inputs, step.script])
  const done = existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
  if (done && step.outputs.every((output) => existsSync(join(checkout, output)))) return
  console.log(`build: ${step.says}`)
  await runScript(step.script)
  const missing = step.outputs.filter((output) => !existsSync(join(checkout, output)))
  if (missing.length > 0) throw new Error(`${step.script} ended well but left no ${missing.join(', ')}`)
  mkdirSync(join(checkout, '.cache/build'), {recursive: true})
  writeFileSync(stamp, digest)
}

/** Runs a script of the project on the checkout's Node; its output goes where ours goes. */
export async function runScript(script: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, join(checkout, script), ...args], {cwd: checkout, stdio: 'inherit'})
  const [status, signal] = await once(child, 'exit')
  if (status !== 0) throw new Error(`${script} ended with ${signal ? `signal ${signal}` : `status ${status}`}`)
}

/** A digest over names, sizes and modification times: quick enough to ask at every start. */
function digestOf(paths: readonly string[]): string {
  const hash = createHash('sha256')
  const add = (path: string): void => {
    const stat = lstatSync(join(checkout, path), {throwIfNoEntry: false})
    if (stat === undefined) hash.update(`${path} absent\n`)
    else if (stat.isDirectory()) {
      for (const name of readdirSync(join(checkout, path)).sort()) if (!skipped.has(name)) add(join(path, name))
    } else hash.update(`${path} ${stat.size} ${stat.mtimeMs}\n`)
  }
  for (const path of paths) add(path)
  return hash.digest('hex')
}

const skipped = new Set(['node_modules', 'target'])
