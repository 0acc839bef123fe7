import {Transform} from 'node:stream'

/** Where the progress of a download is drawn: stderr, or nothing. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export interface ProgressState {
  readonly done: number
  /** Null while nobody knows. */
  readonly total: number | null
  readonly isTTY: boolean
  /** Since the first byte; without it neither rate nor time left are shown. */
  readonly seconds?: number
}

const INTERVAL_MS = 1000
const COLUMNS = 80
/** What the numbers behind the bar may take, and the rate with the time left behind them. */
const NUMBERS = 18
const PACE = 18

/** Passes bytes on and draws, at most once a second and at the end, how many of them came. */
export function progressOf(label: string, total: number | null, output: ProgressOutput): Transform {
  let [done, drawnAt, width] = [0, 0, 0]
  const isTTY = output.isTTY ?? false
  const startedAt = performance.now()
  const draw = (final: boolean) => {
    const line = progressLine(label, {done, isTTY, seconds: (performance.now() - startedAt) / 1000, total})
    width = Math.max(width, line.length)
    output.write(`${line.padEnd(width)}${isTTY && !final ? '\r' : '\n'}`)
    drawnAt = performance.now()
  }
  draw(false)
  return new Transform({
    flush(callback) {
      draw(true)
      callback()
    },
    transform(chunk: Buffer, _encoding, callback) {
      done += chunk.length
      if (performance.now() - drawnAt >= INTERVAL_MS) draw(false)
      callback(null, chunk)
    },
  })
}

/** `Downloading ACI: [====   ] 1.2 MB/4.5 MB`, with rate and time left behind it on a terminal; its 80 columns are not exceeded. */
export function progressLine(label: string, {done, isTTY, seconds, total}: ProgressState): string {
  const head = `Downloading ${label}`
  const pace = isTTY && seconds !== undefined ? paceOf(done, total, seconds) : ''
  if (total === null) return `${head}: ${decimalSize(done)} of an unknown total size${pace}`
  const numbers = `${decimalSize(done)}/${decimalSize(total)}`
  if (!isTTY) return `${head}:  ${numbers}`
  const inner = COLUMNS - head.length - NUMBERS - 2 - (seconds === undefined ? 0 : PACE)
  const filled = total === 0 ? inner : Math.min(inner, Math.floor((done / total) * inner))
  return `${head}: [${'='.repeat(filled).padEnd(inner)}] ${numbers}${pace}`
}

/** ` 12.3 MB/s 1m05s`: nothing in the first second, which says little. */
export function paceOf(done: number, total: number | null, seconds: number): string {
  if (seconds < 1 || done === 0) return ''
  const rate = done / seconds
  const left = total === null || done >= total ? '' : ` ${duration(Math.ceil((total - done) / rate))}`
  return ` ${decimalSize(rate)}/s${left}`
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
  return `${Math.floor(seconds / 3600)}h${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')}m`
}

/** Powers of 1000 with three significant digits: `1.23 MB`. */
export function decimalSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3))
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${units[power]}`
}
