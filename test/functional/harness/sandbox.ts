import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Host} from './host.ts'
import {eventually, type Running} from './processes.ts'

/** A pod whose apps come and go. */
export interface Sandbox {
  readonly dir: string
  readonly process: Running
  readonly uuid: string
}

let counter = 0

/** `rkt app sandbox` beside the test, as soon as it has a UUID, ready or not. */
export async function aSandbox(host: Host, ...options: readonly string[]): Promise<Sandbox> {
  const file = host.path(`sandbox-${counter++}`)
  const process = host.start(['app', 'sandbox', `--uuid-file-save=${file}`, ...options], {timeoutMs: 280_000})
  const uuid = await eventually(() => {
    if (process.ended) throw new Error(`${process.stdout}${process.stderr}`)
    return existsSync(file) && readFileSync(file, 'utf8')
  }, 'the sandbox')
  return {dir: join(host.dataDir, 'pods/run', uuid), process, uuid}
}
