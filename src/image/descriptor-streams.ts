/** Streams over descriptors that stay their owner's: those of node:fs close them when they fail, whatever `autoClose` says. */
import {read, write} from 'node:fs'
import {Writable} from 'node:stream'
import {promisify} from 'node:util'

const [readSome, writeSome] = [promisify(read), promisify(write)]
const CHUNK = 1 << 18

/** Writes at the descriptor's position. `bytes` counts them. */
export class DescriptorSink extends Writable {
  readonly #fd: number
  bytes = 0

  constructor(fd: number) {
    super({highWaterMark: CHUNK})
    this.#fd = fd
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(() => done(), done)
  }

  async #writeAll(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) at += (await writeSome(this.#fd, chunk, at, chunk.length - at)).bytesWritten
    this.bytes += chunk.length
  }
}

/** The first `size` bytes of a file, or all when it is shorter. */
export async function* readDescriptor(fd: number, size = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  for (let at = 0; at < size; ) {
    const {buffer, bytesRead} = await readSome(fd, Buffer.allocUnsafe(Math.min(CHUNK, size - at)), 0, Math.min(CHUNK, size - at), at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
