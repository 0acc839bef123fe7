import {Socket} from 'node:net'
import {native, unwrap} from './load.ts'

const wordBytes = 4

/** What became of waiting for a process: it `ended`, or nobody can wait for it. */
export type ProcessEnd = 'ended' | 'unwatchable'

/**
 * Tells when processes end that are no children of ours, by pidfds: nothing is asked again and again. The process of a pid is the one
 * that has it when `watch` is called.
 */
export class ProcessEnds implements Disposable {
  readonly #waiting = new Map<number, (end: ProcessEnd) => void>()
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)

  constructor() {
    this.#socket = new Socket({fd: unwrap(native().processEnds()), readable: true, writable: true})
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.unref()
  }

  /** Calls `told` once, later; a second watch of a pid takes the place of the first. */
  watch(pid: number, told: (end: ProcessEnd) => void): void {
    this.#waiting.set(pid, told)
    this.#socket.write(new Uint8Array(new Int32Array([pid]).buffer))
  }

  /** Tells nothing more of a process. */
  forget(pid: number): void {
    this.#waiting.delete(pid)
  }

  [Symbol.dispose](): void {
    this.#waiting.clear()
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const whole = this.#rest.length - (this.#rest.length % wordBytes)
    const words = new Int32Array(Uint8Array.from(this.#rest.subarray(0, whole)).buffer)
    this.#rest = this.#rest.subarray(whole)
    for (const word of words) {
      const told = this.#waiting.get(Math.abs(word))
      this.#waiting.delete(Math.abs(word))
      told?.(word > 0 ? 'ended' : 'unwatchable')
    }
  }
}
