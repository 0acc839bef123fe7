/**
 * Builds what is written in Rust: the addon (`dist/rkt.node`), the launcher (`bin/rkt`) and the executables of the flavors
 * (`dist/stage1`). The last two are static, and refused if they are not.
 *
 * Two target directories, so that the two cargo runs, which need different flags, neither wait for nor undo each other.
 */
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {faults} from './static-executable.ts'

const checkout = resolve(import.meta.dirname, '..')
const dist = join(checkout, 'dist')
const triple = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`
const executables = {launcher: join(checkout, 'bin/rkt'), stage1: join(dist, 'stage1')}
const staticDir = join(checkout, 'target/static')

async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(program, args, {cwd: checkout, env: {...process.env, ...env}, stdio: ['ignore', 'inherit', 'inherit']})
  const [status, signal] = await once(child, 'exit')
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} ended with ${signal ?? `status ${status}`}`)
}

async function buildAddon(): Promise<void> {
  const output = join(checkout, 'target/addon')
  const config = join(checkout, 'crates/addon/napi.json')
  const words = ['build', '--release', '--manifest-path', 'crates/addon/Cargo.toml', '--config-path', config, '--output-dir', output]
  await run(join(checkout, 'node_modules/.bin/napi'), [...words, '--no-js', '--', '--quiet'])
  install(join(output, 'rkt.node'), join(dist, 'rkt.node'))
}

async function buildExecutables(): Promise<void> {
  const packages = Object.keys(executables).flatMap((name) => ['-p', name])
  const env = {
    // Symbols stay for the check below.
    CARGO_PROFILE_EXE_STRIP: 'debuginfo',
    RUSTFLAGS: '-C target-feature=+crt-static',
  }
  const place = ['--target', triple, '--target-dir', staticDir]
  await run('cargo', ['build', '--quiet', '--profile', 'exe', ...place, ...packages], env)
  for (const [name, target] of Object.entries(executables)) {
    const built = join(staticDir, triple, 'exe', name === 'launcher' ? 'rkt' : name)
    const found = faults(built)
    if (found.length > 0) throw new Error(`${built} cannot be used: ${found.join('; ')}`)
    const stripped = `${built}.stripped`
    await run('strip', ['-o', stripped, built])
    install(stripped, target)
  }
}

/** By rename: the old one may be running, and a file that is mapped must not change. */
function install(from: string, to: string): void {
  if (isSame(from, to)) return
  const beside = `${to}.${process.pid}.new`
  try {
    copyFileSync(from, beside)
    chmodSync(beside, 0o755)
    renameSync(beside, to)
  } finally {
    rmSync(beside, {force: true})
  }
}

function isSame(left: string, right: string): boolean {
  try {
    return readFileSync(left).equals(readFileSync(right))
  } catch {
    return false // it is not there yet
  }
}

try {
  mkdirSync(dist, {recursive: true})
  mkdirSync(join(checkout, 'bin'), {recursive: true})
  await Promise.all([buildAddon(), buildExecutables()])
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
