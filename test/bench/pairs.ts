/**
 * Measuring on a noisy machine: two things are done in turn, A B A B …, and compared pair by pair, so that what disturbs one
 * disturbs the other too.
 */
import {spawnSync} from 'node:child_process'

export interface Comparison {
  readonly name: string
  readonly subject: Series
  readonly baseline: Series
  /** The median of the ratios of the pairs: subject / baseline. */
  readonly ratio: number
  readonly pairs: number
}

export interface Series {
  readonly name: string
  readonly medianMs: number
  readonly leastMs: number
  readonly allMs: readonly number[]
}

export interface Contender {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Done before each run, not measured. */
  readonly before?: () => void
}

/** Runs both in turn; the first two pairs warm caches and do not count. */
export function compare(name: string, subject: Contender, baseline: Contender, pairs: number): Comparison {
  const subjectMs: number[] = []
  const baselineMs: number[] = []
  for (let pair = -2; pair < pairs; pair++) {
    const [a, b] = pair % 2 === 0 ? [timed(subject), timed(baseline)] : [timed(baseline), timed(subject)].reverse()
    if (pair < 0 || a === undefined || b === undefined) continue
    subjectMs.push(a)
    baselineMs.push(b)
  }
  const ratios = subjectMs.map((ms, at) => ms / (baselineMs[at] ?? Number.NaN))
  return {baseline: series(baseline.name, baselineMs), name, pairs, ratio: median(ratios), subject: series(subject.name, subjectMs)}
}

function timed({before, command: [program = '', ...args], env = process.env, name}: Contender): number {
  before?.()
  const start = performance.now()
  const {error, status, stderr} = spawnSync(program, args, {encoding: 'utf8', env, stdio: ['ignore', 'ignore', 'pipe']})
  const elapsed = performance.now() - start
  if (error !== undefined || status !== 0) throw new Error(`${name}: ${error?.message ?? `status ${status}`}\n${stderr ?? ''}`)
  return elapsed
}

function series(name: string, allMs: readonly number[]): Series {
  return {allMs, leastMs: Math.min(...allMs), medianMs: median(allMs), name}
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
