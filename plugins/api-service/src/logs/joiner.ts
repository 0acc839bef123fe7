import type {LogLine} from '@rkt/engine'

/** Longer lines stay in parts: an app may never end one. */
const maxLine = 1 << 20

/** Puts the parts of long lines together, those of each app and stream apart. */
export class Joiner {
  readonly #parts = new Map<string, {readonly texts: Buffer[]; bytes: number}>()

  /** A whole line, or undefined while more of it has to come. */
  join(line: LogLine): LogLine | undefined {
    const stream = `${line.app} ${line.stream}`
    const parts = this.#parts.get(stream) ?? {bytes: 0, texts: []}
    if (line.whole && parts.bytes === 0) return line
    parts.texts.push(line.text)
    parts.bytes += line.text.length
    const isWhole = line.whole || parts.bytes >= maxLine
    if (isWhole) this.#parts.delete(stream)
    else this.#parts.set(stream, parts)
    return isWhole ? {...line, text: Buffer.concat(parts.texts), whole: true} : undefined
  }
}
