/**
 * A JSON reader for hostile documents. Unlike JSON.parse it bounds depth, length and the number of values, says where a
 * document is wrong, keeps numbers exact, and lets the last of duplicate keys win in place as well as in value.
 */
import {isUtf8} from 'node:buffer'

import {printable, quote} from './text.ts'
import type {JsonValue, RawNumber} from './types.ts'

export const MAX_BYTES = 16 * 1024 * 1024
export const MAX_DEPTH = 100
export const MAX_VALUES = 1_000_000
const MAX_NUMBER = 400
const EXCERPT = 32

/** Not a JSON document, or one beyond the bounds. The message has line, column and an excerpt when there is a place to show. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

// Node 22 and newer have both; TypeScript's library does not know them yet
const {isRawJSON, rawJSON} = JSON as unknown as {isRawJSON(value: unknown): value is RawNumber; rawJSON(text: string): RawNumber}

export {isRawJSON}

/** The value of a document. Objects have no duplicate keys; a key `__proto__` is a key like any other. */
export function readJson(document: string | Uint8Array): JsonValue {
  return new Reader(decode(document)).document()
}

function decode(document: string | Uint8Array): string {
  if (document.length > MAX_BYTES) throw new JsonSyntaxError(`larger than ${MAX_BYTES / 1024 / 1024} MiB`)
  if (typeof document === 'string') return document
  if (!isUtf8(document)) throw new JsonSyntaxError('not valid UTF-8')
  return Buffer.from(document.buffer, document.byteOffset, document.byteLength).toString('utf8')
}

const ESCAPES: Readonly<Record<string, string>> = {'"': '"', '/': '/', '\\': '\\', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t'}
const LITERALS = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const

class Reader {
  readonly #text: string
  readonly #number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y
  #at = 0
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): JsonValue {
    const value = this.#value(1)
    if (this.#next() !== '') this.#fail('expected nothing after the end of the document')
    return value
  }

  #value(depth: number): JsonValue {
    const first = this.#next()
    this.#values += 1
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`)
    if (this.#values > MAX_VALUES) this.#fail(`more than ${MAX_VALUES} values`)
    if (first === '{') return this.#object(depth)
    if (first === '[') return this.#list(depth)
    if (first === '"') return this.#string()
    for (const [word, value] of LITERALS) {
      if (!this.#text.startsWith(word, this.#at)) continue
      this.#at += word.length
      return value
    }
    return this.#numeral()
  }

  #object(depth: number): JsonValue {
    const members = new Map<string, JsonValue>()
    this.#at += 1
    if (this.#next() === '}') {
      this.#at += 1
      return {}
    }
    for (;;) {
      if (this.#next() !== '"') this.#fail('expected a key in double quotes')
      const key = this.#string()
      if (this.#next() !== ':') this.#fail('expected ":"')
      this.#at += 1
      const value = this.#value(depth + 1)
      members.delete(key) // the last one wins, and stands last for keys that differ in case only
      members.set(key, value)
      if (this.#endOfItem('}')) return Object.fromEntries(members) // defines properties, so "__proto__" sets no prototype
    }
  }

  #list(depth: number): JsonValue {
    const items: JsonValue[] = []
    this.#at += 1
    if (this.#next() === ']') {
      this.#at += 1
      return items
    }
    for (;;) {
      items.push(this.#value(depth + 1))
      if (this.#endOfItem(']')) return items
    }
  }

  #endOfItem(close: '}' | ']'): boolean {
    const mark = this.#next()
    if (mark !== ',' && mark !== close) this.#fail(`expected "," or "${close}"`)
    this.#at += 1
    return mark === close
  }

  #string(): string {
    let value = ''
    let from = ++this.#at
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === 0x22) {
        value += this.#text.slice(from, this.#at++)
        return value.toWellFormed()
      }
      if (Number.isNaN(code)) this.#fail('expected the end of the string')
      if (code < 0x20) this.#fail('expected an escape instead of a control character in a string')
      this.#at += 1
      if (code !== 0x5c) continue
      value += this.#text.slice(from, this.#at - 1) + this.#escape()
      from = this.#at
    }
  }

  #escape(): string {
    const mark = this.#text.charAt(this.#at)
    const simple = Object.hasOwn(ESCAPES, mark) ? ESCAPES[mark] : undefined
    if (simple !== undefined) {
      this.#at += 1
      return simple
    }
    const digits = this.#text.slice(this.#at + 1, this.#at + 5)
    if (mark !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail('expected a valid escape')
    this.#at += 5
    return String.fromCharCode(Number.parseInt(digits, 16))
  }

  /** A number when JavaScript prints it as it is written, else its text: 1.0, 1e3 and 2^53 + 1 stay what they are. */
  #numeral(): number | RawNumber {
    this.#number.lastIndex = this.#at
    const text = this.#number.exec(this.#text)?.[0]
    if (text === undefined) this.#fail('expected a value')
    if (text.length > MAX_NUMBER) this.#fail(`expected a number of at most ${MAX_NUMBER} characters`)
    this.#at += text.length
    const value = Number(text)
    return String(value) === text ? value : rawJSON(text)
  }

  /** Moves over blanks; the character there, or the empty string at the end. */
  #next(): string {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return this.#text.charAt(this.#at)
      this.#at += 1
    }
  }

  #fail(expectation: string): never {
    const start = this.#text.lastIndexOf('\n', this.#at - 1) + 1
    const line = this.#text.slice(0, start).split('\n').length
    const found = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0x20)
    const end = this.#at >= this.#text.length
    const before = printable(this.#text.slice(Math.max(start, this.#at - EXCERPT), this.#at)).trimStart()
    const after = printable(this.#text.slice(this.#at + found.length, this.#at + EXCERPT).split('\n', 1)[0] ?? '').trimEnd()
    const mark = end ? '>>><<<' : `>>>${printable(found)}<<<${after}`
    const place = `line ${line}, column ${this.#at - start + 1}`
    throw new JsonSyntaxError(`${place}: ${expectation}, found ${end ? 'the end' : quote(found)}: ${before}${mark}`)
  }
}
