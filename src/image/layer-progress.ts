import type {ProgressOutput} from './progress.ts'
import {decimalSize, paceOf} from './progress.ts'

const INTERVAL_MS = 500
const COLUMNS = 80
/** What rate and time left take behind the numbers. */
const PACE = 18
/** Of a digest, its algorithm included. */
const NAME = 18

/** One transfer of several. */
export interface TransferProgress {
  advance(bytes: number): void
  /** It is over; a failed one says nothing more. */
  end(outcome: 'complete' | 'failed'): void
}

/**
 * Transfers that go on at once, a line each. On a terminal those that go on are redrawn in place, and what is complete stays above them;
 * elsewhere each prints a line now and then, and one when it is complete.
 */
export class LayerProgress implements Disposable {
  readonly #output: ProgressOutput
  readonly #active = new Set<Line>()
  readonly #numbers: number
  #drawn = 0
  #timer: NodeJS.Timeout | undefined

  /** `sizes` of all transfers, which the numbers are aligned by. */
  constructor(output: ProgressOutput, sizes: readonly (number | null)[]) {
    this.#output = output
    this.#numbers = Math.max(0, ...sizes.map((size) => numbers(size ?? 999_000, size).length))
  }

  begin(name: string, total: number | null): TransferProgress {
    const line: Line = {done: 0, name: name.slice(0, NAME), startedAt: performance.now(), total}
    this.#active.add(line)
    this.#timer ??= setInterval(() => this.#tick(), INTERVAL_MS).unref()
    return {
      advance: (bytes) => {
        line.done += bytes
      },
      end: (outcome) => {
        if (!this.#active.delete(line)) return
        this.#redraw(outcome === 'complete' ? line : undefined)
        if (this.#active.size === 0) this[Symbol.dispose]()
      },
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    if (this.#output.isTTY) this.#redraw()
    else for (const line of this.#active) this.#output.write(`${this.#format(line)}\n`)
  }

  #redraw(complete?: Line): void {
    const lines = [...(complete === undefined ? [] : [complete]), ...(this.#output.isTTY ? this.#active : [])]
    const up = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\x1b[J`
    const text = lines.map((line) => `${this.#format(line)}\n`).join('')
    if (up + text !== '') this.#output.write(up + text)
    this.#drawn = this.#output.isTTY ? this.#active.size : 0
  }

  #format({done, name, startedAt, total}: Line): string {
    const head = `Downloading ${name}`
    const size = numbers(done, total).padStart(this.#numbers)
    if (!this.#output.isTTY) return `${head} ${size.trimStart()}`
    const inner = COLUMNS - head.length - size.length - 4 - PACE
    const filled = total === null ? 0 : total === 0 ? inner : Math.min(inner, Math.floor((done / total) * inner))
    const pace = paceOf(done, total, (performance.now() - startedAt) / 1000)
    return `${head} [${'='.repeat(filled).padEnd(inner)}] ${size}${pace}`
  }
}

interface Line {
  done: number
  readonly name: string
  readonly startedAt: number
  readonly total: number | null
}

const numbers = (done: number, total: number | null): string => `${decimalSize(done)} / ${total === null ? '?' : decimalSize(total)}`
