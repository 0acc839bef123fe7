/** Streams over descriptors that stay their owner's: those of node:fs close them when they fail, whatever `autoClose` says. */
import {read, write} from 'node:fs'
import {Writable} from 'node:stream'
import {promisify} from 'node:util'

const [readSome, writeSome] = [promisify(read), promisify(write)]
const CHUNK = 1 << 18

/** A stream that writes from `start` on, or else at the descriptor's position; `bytes` counts them. */
export type DescriptorSink = Writable & {bytes: number}

export function descriptorSink(fd: number, start?: number): DescriptorSink {
  const writeAll = async (chunk: Buffer): Promise<void> => {
    for (let at = 0; at < chunk.length; ) {
      const position = start === undefined ? null : start + sink.bytes
      const {bytesWritten} = await writeSome(fd, chunk, at, chunk.length - at, position)
      at += bytesWritten
      sink.bytes += bytesWritten
    }
  }
  const stream = new Writable({
    highWaterMark: CHUNK,
    write(chunk: Buffer, _encoding, done) {
      writeAll(chunk).then(() => done(), done)
    },
  })
  const sink: DescriptorSink = Object.assign(stream, {bytes: 0})
  return sink
}

/** So many bytes of a file from `start` on, or all when there are fewer. */
export async function* readDescriptor(fd: number, size = Number.POSITIVE_INFINITY, start = 0): AsyncGenerator<Buffer> {
  for (let at = 0; at < size; ) {
    const length = Math.min(CHUNK, size - at)
    const {buffer, bytesRead} = await readSome(fd, Buffer.allocUnsafe(length), 0, length, start + at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
