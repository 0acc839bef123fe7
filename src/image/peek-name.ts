import {read} from 'node:fs'
import {promisify} from 'node:util'

const readSome = promisify(read)
/** Enough for the manifest of any archive that has it in front. */
const HEAD = 1 << 16
const BLOCK = 512

/**
 * The image name in the manifest of an archive that begins with it, without reading more than the beginning. A guess: null for
 * archives that are packed otherwise, and whatever an attacker likes for his.
 */
export async function peekName(fd: number): Promise<string | null> {
  try {
    const {buffer, bytesRead} = await readSome(fd, Buffer.alloc(HEAD), 0, HEAD, 0)
    const tar = await plain(buffer.subarray(0, bytesRead))
    const entry = tar.toString('latin1', 0, 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.toString('latin1', 124, 136), 8)
    if (entry !== 'manifest' || !(size > 0) || BLOCK + size > tar.length) return null
    const manifest: unknown = JSON.parse(tar.toString('utf8', BLOCK, BLOCK + size))
    return isNamed(manifest) ? manifest.name : null
  } catch {
    return null
  }
}

function isNamed(value: unknown): value is {name: string} {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string'
}

async function plain(head: Buffer): Promise<Buffer> {
  if (head[0] !== 0x1f || head[1] !== 0x8b) return head
  const {constants, gunzipSync} = await import('node:zlib')
  // the beginning of a stream is all that there is
  return gunzipSync(head, {finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 64 * HEAD})
}
