import {Transform} from 'node:stream'

/** Where the progress of a download is drawn: stderr, or nothing. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const INTERVAL_MS = 1000
const COLUMNS = 80
/** What the numbers behind the bar may take. */
const NUMBERS = 18

/** Passes bytes on and draws, at most once a second and at the end, how many of them came. */
export function progressOf(label: string, total: number | null, output: ProgressOutput): Transform {
  let [done, drawnAt, width] = [0, 0, 0]
  const draw = (final: boolean) => {
    const line = progressLine(label, done, total, output.isTTY ?? false)
    width = Math.max(width, line.length)
    output.write(`${line.padEnd(width)}${output.isTTY && !final ? '\r' : '\n'}`)
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

export function progressLine(label: string, done: number, total: number | null, isTTY: boolean): string {
  const head = `Downloading ${label}`
  if (total === null) return `${head}: ${decimalSize(done)} of an unknown total size`
  const numbers = `${decimalSize(done)}/${decimalSize(total)}`
  if (!isTTY) return `${head}:  ${numbers}`
  const inner = COLUMNS - head.length - NUMBERS - 2
  const filled = total === 0 ? inner : Math.min(inner, Math.floor((done / total) * inner))
  return `${head}: [${'='.repeat(filled).padEnd(inner)}] ${numbers}`
}

/** Powers of 1000 with three significant digits: `1.23 MB`. */
function decimalSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3))
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${units[power]}`
}
