/** One process that fetches one image, for tests that kill it or run many: CAS CONFIG URL [unverified]; says key and peak memory. */
import {join} from 'node:path'
import {SECURE} from '../config/index.ts'
import {openStore} from '../store/index.ts'
import {openTreestore} from '../treestore/index.ts'
import {findImage} from './index.ts'

const [cas = '', config = '', url = '', unverified] = process.argv.slice(2)
using store = openStore(cas)
const key = await findImage(
  {
    config: {auth: new Map()},
    diagnostics: {debug() {}, note: (_, line) => process.stderr.write(`${line}\n`)},
    options: {localConfig: join(config, 'local'), systemConfig: join(config, 'system'), trustKeysFromHttps: false},
    store,
    treestore: openTreestore(cas, store),
  },
  url,
  {dependencies: true, insecure: {...SECURE, image: unverified !== undefined}, pullPolicy: 'update', render: false},
)
process.stdout.write(JSON.stringify({key, peak: process.resourceUsage().maxRSS}))
