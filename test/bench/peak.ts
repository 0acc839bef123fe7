/** The peak resident memory of a program, read from the kernel while it runs: VmHWM only grows, so the last look is the peak. */
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'

export interface Peak {
  readonly elapsedMs: number
  readonly peakBytes: number
}

export async function peakOf([program = '', ...args]: readonly string[]): Promise<Peak> {
  const start = performance.now()
  const child = spawn(program, args, {stdio: ['ignore', 'ignore', 'pipe']})
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  let peakBytes = 0
  const look = setInterval(() => {
    try {
      const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
      if (kibibytes !== undefined) peakBytes = Number(kibibytes) * 1024
    } catch {
      // Ended between two looks.
    }
  }, 10)
  const [status] = await once(child, 'close')
  clearInterval(look)
  if (status !== 0) throw new Error(`${program} ended with status ${status}: ${stderr}`)
  return {elapsedMs: performance.now() - start, peakBytes}
}
