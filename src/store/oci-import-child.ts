/** Started by the tests: imports the layers that a directory describes. Not part of the program. */
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {openStore} from './index.ts'
import {importImage, type PackedLayer} from './oci-fixture.ts'

const [, , cas = '', dir = ''] = process.argv
const layers = readdirSync(dir)
  .sort()
  .map(
    (name) =>
      JSON.parse(readFileSync(join(dir, name), 'utf8')) as {bytes: string; diffId: PackedLayer['diffId']; digest: PackedLayer['digest']},
  )
  .map((layer) => ({...layer, bytes: Buffer.from(layer.bytes, 'base64')}))
using store = openStore(cas)
await importImage(store, layers)
process.disconnect()
