import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {aManifest, anArchive, aStore} from './fixture.ts'
import {isImageKey, openStore, type Store} from './index.ts'

const asRoot = process.geteuid?.() === 0 ? false : 'needs root to mount and to become somebody else'
const label = (name: string, value: string) => ({name: name as never, value})

test('an image is stored under the hash of its uncompressed tar, with its manifest, name and record', async () => {
  using host = aStore()
  const tar = await anArchive(aManifest({version: '1.0.0'}), {file: 'content'})
  const digest = createHash('sha512').update(tar).digest('hex')

  const key = await host.import(gzipSync(tar))

  assert.equal(key, `sha512-${digest.slice(0, 64)}`)
  assert.deepEqual(readFileSync(host.store.blobPath(key)), tar)
  assert.equal(host.store.digest(key), digest)
  assert.equal(host.store.manifest(key).name, 'example.com/app')
  const info = host.store.info(key)
  assert.deepEqual([info.name, info.size, info.treeSize, info.latest], ['example.com/app', tar.length, 0, false])
  assert.equal(host.store.findByName('example.com/app', [label('version', '1.0.0')]), key)
  assert.deepEqual(
    (await host.store.list()).map((image) => image.key),
    [key],
  )
})

test('modes are those of a directory that a group shares, whatever the umask is', async () => {
  using host = aStore()
  const before = process.umask(0o077)
  try {
    const key = await host.import(await anArchive(aManifest()))
    const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8)

    assert.equal(mode(host.cas), '2770')
    assert.equal(mode(join(host.cas, 'blob/sha512', key.slice(7, 9))), '2770')
    for (const path of [host.store.blobPath(key), join(host.cas, 'image', `${key}.json`), join(host.cas, 'generation')]) {
      assert.equal(mode(path), '660', path)
    }
    await host.store.list()
    assert.equal(mode(join(host.cas, 'db/index.sqlite')), '660')
  } finally {
    process.umask(before)
  }
})

test('importing an image again resets import time, latest flag and tree size, and mends a damaged blob', async () => {
  using host = aStore()
  const tar = await anArchive(aManifest())
  const key = await host.import(tar, true)
  host.store.setTreeSize(key, 4711)
  const first = host.store.info(key)
  writeFileSync(host.store.blobPath(key), 'damage')

  assert.equal(await host.import(tar), key)

  const second = host.store.info(key)
  assert.deepEqual([first.latest, first.treeSize], [true, 4711])
  assert.deepEqual([second.latest, second.treeSize], [false, 0])
  assert.ok(second.importTime > first.importTime)
  assert.deepEqual(readFileSync(host.store.blobPath(key)), tar)
})

test('a name alone means the latest image of it, else the newest; with labels the newest that has them all', async () => {
  using host = aStore()
  const one = await host.import(await anArchive(aManifest({version: '1'})))
  const two = await host.import(await anArchive(aManifest({version: '2'})), true)
  const three = await host.import(await anArchive(aManifest({labels: {os: 'linux', arch: 'amd64'}, version: '3'})))
  const find = (...labels: ReturnType<typeof label>[]) => host.store.findByName('example.com/app', labels)

  assert.equal(find(), two)
  assert.equal(find(label('version', '1')), one)
  assert.equal(find(label('os', 'linux')), three)
  await host.store.remove(two)
  assert.equal(find(), three)
  assert.throws(() => find(label('version', '9')), {
    code: 'RKT_IMAGE_NOT_FOUND',
    message: 'cannot find aci satisfying name: "example.com/app" and labels: ["version:9"] in the local store',
  })
  assert.throws(() => host.store.findByName('example.com/none', []), {
    message: 'cannot find aci satisfying name: "example.com/none" and labels: [] in the local store',
  })
})

test('names of any length are found, and names that share a beginning are not mixed', async () => {
  using host = aStore()
  const long = `example.com/${'a'.repeat(300)}`
  const keys = new Map<string, string>()
  for (const name of [long, `${long}b`, 'example.com/a', 'example.com/a/b', 'example.com']) {
    keys.set(name, await host.import(await anArchive(aManifest({name}))))
  }
  for (const [name, key] of keys) assert.equal(host.store.findByName(name, []), key)
})

test('a prefix of at least two digits finds a key; short, foreign, unknown and ambiguous ones are refused in the documented words', async () => {
  using host = aStore()
  const byDigits = new Map<string, string>()
  let ambiguous = ''
  let single = ''
  for (let count = 0; ambiguous === ''; count += 1) {
    const archive = await anArchive(aManifest({version: `${count}`}))
    const digits = createHash('sha512').update(archive).digest('hex').slice(0, 2)
    if (byDigits.has(digits)) ambiguous = digits
    byDigits.set(digits, await host.import(archive))
  }
  single = [...byDigits.keys()].find((digits) => digits !== ambiguous) ?? ''
  const resolve = (text: string) => host.store.resolveKey(text)

  assert.equal(resolve(`sha512-${single}`), byDigits.get(single))
  const whole = byDigits.get(single) ?? ''
  assert.equal(resolve(whole), whole)
  assert.equal(resolve(`${whole}${'0'.repeat(64)}`), whole, 'a longer id is cut')
  assert.throws(() => resolve(`sha512-${ambiguous}`), {message: `ambiguous image ID: "sha512-${ambiguous}"`})
  assert.throws(() => resolve('sha512-a'), {message: 'image ID too short'})
  assert.throws(() => resolve('sha256-aaaa'), {message: 'wrong key prefix'})
  for (const nowhere of [`sha512-${single}zz`, 'sha512-../../../etc', `sha512-${'0'.repeat(64)}`, 'sha512-AB']) {
    assert.throws(() => resolve(nowhere), {message: 'no image IDs found'}, nowhere)
  }
})

const hostile: Record<string, () => Promise<Buffer>> = {
  'a manifest that is not JSON': () => anArchive('{'),
  'a manifest of a pod': () => anArchive(aManifest({acKind: 'PodManifest'})),
  'a name that climbs': () => anArchive(aManifest({name: '../../etc'})),
  'no manifest': () => anArchive(null),
  'a truncated tar': async () => (await anArchive(aManifest(), {file: 'x'.repeat(4000)})).subarray(0, 2600),
  'no archive at all': () => Promise.resolve(Buffer.alloc(4096, 'no archive')),
}
for (const [what, archive] of Object.entries(hostile)) {
  test(`${what} is refused and leaves no file`, async () => {
    using host = aStore()

    await assert.rejects(async () => host.import(await archive()))

    assert.deepEqual(filesOf(host.cas), [])
    assert.deepEqual(await host.store.list(), [])
  })
}

test('an import that is not accepted leaves no file', async () => {
  using host = aStore()
  const path = join(host.dir, 'x.aci')
  writeFileSync(path, await anArchive(aManifest()))
  const {closeSync, openSync} = await import('node:fs')
  const fd = openSync(path, 'r')
  const accept = () => {
    throw new Error('not today')
  }

  await assert.rejects(host.store.importAci(fd, {accept, latest: false, source: path}), {message: 'not today'})

  closeSync(fd)
  assert.deepEqual(filesOf(host.cas), [])
})

test('removing an image removes all of it, and a second time says that it is not there', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  host.store.setTreeSize(key, 1)
  await host.store.putRemote({downloadTime: new Date(), etag: '"e"', key, maxAge: 5, signatureUrl: '', url: 'http://example.com/x.aci'})

  await host.store.remove(key)

  assert.deepEqual(filesOf(host.cas), ['generation'])
  await assert.rejects(host.store.remove(key), {message: `cannot find image with key: ${key}`})
  assert.equal(host.store.remote('http://example.com/x.aci'), null)
})

test('a damaged record is named, and keeps nobody from removing the image', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  writeFileSync(join(host.cas, 'image', `${key}.json`), '{"id":')

  assert.throws(() => host.store.info(key), {code: 'RKT_STORE_DAMAGED'})
  await host.store.remove(key)
  await host.store.sweep()

  assert.deepEqual(filesOf(host.cas), ['generation'])
})

test('use of an image is recorded', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  const past = new Date('2001-02-03T04:05:06Z')
  utimesSync(join(host.cas, 'image', `${key}.json`), past, past)
  assert.deepEqual(host.store.info(key).lastUsed, past)

  host.store.touch(key)

  assert.ok(host.store.info(key).lastUsed > past)
  assert.equal((await host.store.list())[0]?.lastUsed.getTime(), host.store.info(key).lastUsed.getTime())
})

test('the index is built again when it is missing, damaged, older than the files or of another kind', async () => {
  using host = aStore()
  const one = await host.import(await anArchive(aManifest({version: '1'})))
  const keys = async () => (await host.store.list()).map((image) => image.key)
  const index = join(host.cas, 'db/index.sqlite')
  assert.deepEqual(await keys(), [one])
  const old = readFileSync(index)
  assert.equal(old.subarray(0, 15).toString(), 'SQLite format 3')

  rmSync(index)
  assert.deepEqual(await keys(), [one])
  writeFileSync(index, 'this is no database')
  assert.deepEqual(await keys(), [one])
  writeFileSync(index, readFileSync(index).subarray(0, 5000))
  assert.deepEqual(await keys(), [one])
  const two = await host.import(await anArchive(aManifest({version: '2'})))
  writeFileSync(index, old)
  assert.deepEqual(await keys(), [one, two])
  await host.store.remove(one)
  assert.deepEqual(await keys(), [two])
})

test('an image whose writer was killed before it said so is in the list', async () => {
  using host = aStore()
  const one = await host.import(await anArchive(aManifest({version: '1'})))
  await host.store.list()
  const generation = readFileSync(join(host.cas, 'generation'))
  const two = await host.import(await anArchive(aManifest({version: '2'})))
  writeFileSync(join(host.cas, 'generation'), generation)

  assert.deepEqual(
    (await host.store.list()).map((image) => image.key),
    [one, two],
  )
})

test('ten processes that import the same image at once all succeed', async () => {
  using host = aStore()
  const path = join(host.dir, 'same.aci')
  writeFileSync(path, await anArchive(aManifest(), {file: 'x'.repeat(1 << 20)}))
  host.store.tmpDir()

  const children = Array.from({length: 10}, () => importer(host.cas, [path]))
  const results = await Promise.all(children.map(async (child) => [await once(child, 'close'), child] as const))

  for (const [[code]] of results) assert.equal(code, 0)
  assert.equal((await host.store.list()).length, 1)
  assert.deepEqual(readdirSync(join(host.cas, 'tmp')), [])
})

test('what takes the place of a blob is not swept away by another process', async () => {
  using host = aStore()
  const archive = await anArchive(aManifest())
  await host.import(archive)
  const sweeper = inStore(
    host.cas,
    `
    const {sweepTemporaries} = await import(${JSON.stringify(join(import.meta.dirname, 'files.ts'))})
    console.log('begin')
    for (;;) await sweepTemporaries(${JSON.stringify(join(host.cas, 'tmp'))})`,
  )
  const ended = once(sweeper, 'close')
  await once(sweeper.stdout, 'data')

  for (let round = 0; round < 40; round += 1) await host.import(archive)

  sweeper.kill('SIGKILL')
  await ended
})

test('of those who bring one image at once, one reads it', async () => {
  using host = aStore()
  const path = join(host.dir, 'same.aci')
  writeFileSync(path, await anArchive(aManifest()))
  const expected = await host.import(readFileSync(path))
  await host.store.remove(expected)
  const [archive, nothing] = [openSync(path, 'r'), openSync('/dev/null', 'r')]

  const options = {expected, latest: false, source: path}
  const keys = await Promise.all([host.store.importAci(archive, options), host.store.importAci(nothing, options)])

  closeSync(archive)
  closeSync(nothing)
  assert.deepEqual(keys, [expected, expected])
  assert.equal(host.store.info(expected).names.length, 1)
})

test('kill -9 at any moment of an import leaves nothing visible that is not whole, and nothing that stays', async () => {
  using host = aStore()
  const archives = await Promise.all(
    Array.from({length: 40}, async (_, count) => {
      const path = join(host.dir, `${count}.aci`)
      writeFileSync(
        path,
        await anArchive(aManifest({name: `example.com/app-${count % 7}`, version: `${count}`}), {file: 'x'.repeat(100_000)}),
      )
      return path
    }),
  )
  host.store.tmpDir()
  for (let round = 0; round < 12; round += 1) {
    const child = importer(host.cas, archives)
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60))
    child.kill('SIGKILL')
    await once(child, 'close')
    await assertWhole(host.store, host.cas)
    if (round % 4 === 3) for (const {key} of await host.store.list()) await host.store.remove(key)
  }

  await host.store.sweep()

  const visible = new Set((await host.store.list()).map((image) => image.key as string))
  for (const file of filesOf(host.cas)) {
    const key =
      file
        .split('/')
        .at(-1)
        ?.replace(/\.json$/, '') ?? ''
    if (isImageKey(key)) assert.ok(visible.has(key), `${file} is left`)
    else assert.ok(['db/index.sqlite', 'generation'].includes(file), `${file} is left`)
  }
})

test('a store of rkt 1.x is taken over on first sight, its database left alone', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest({version: '1.30.0'})))
  const blob = readFileSync(host.store.blobPath(key))
  for (const part of ['image', 'name', 'remote', 'treesize', 'generation']) rmSync(join(host.cas, part), {force: true, recursive: true})
  writeFileSync(join(host.cas, 'db/ql.db'), 'ql')
  host.store[Symbol.dispose]()

  using store = openStore(host.cas)

  assert.deepEqual(
    (await store.list()).map((image) => [image.key, image.name, image.size]),
    [[key, 'example.com/app', blob.length]],
  )
  assert.equal(store.findByName('example.com/app', [label('version', '1.30.0')]), key)
  assert.equal(store.resolveKey(key.slice(0, 12)), key)
  assert.equal(store.digest(key), key.slice(7))
  assert.equal(readFileSync(join(host.cas, 'db/ql.db'), 'utf8'), 'ql')
  await store.remove(key)
  assert.ok(!existsSync(host.store.blobPath(key)))
})

test('a take-over that was killed is begun anew', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  renameSync(join(host.cas, 'image'), join(host.cas, 'image.new'))
  writeFileSync(join(host.cas, 'image.new/sha512-half.json'), '{')
  host.store[Symbol.dispose]()

  using store = openStore(host.cas)

  assert.deepEqual(readdirSync(join(host.cas, 'image')), [`${key}.json`])
  assert.ok(store.has(key))
})

test('a caller who may only read lists images, and leaves no trace', {
  skip: process.geteuid?.() === 0 ? false : 'needs root to become somebody else',
}, async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  chmodSync(host.dir, 0o755)
  for (const path of [
    host.cas,
    ...[
      'image',
      'name',
      'db',
      'treesize',
      'remote',
      'imageManifest',
      'imageManifest/sha512',
      `imageManifest/sha512/${key.slice(7, 9)}`,
    ].map((part) => join(host.cas, part)),
  ]) {
    chmodSync(path, 0o2755)
  }
  for (const file of [join(host.cas, 'image', `${key}.json`), join(host.cas, 'generation')]) chmodSync(file, 0o644)
  const before = filesOf(host.cas)
  const child = asNobody(`
    const store = openStore(${JSON.stringify(host.cas)})
    console.log((await store.list()).map((image) => image.key).join())
    store.touch(${JSON.stringify(key)})`)
  const [out, err] = await Promise.all([collect(child.stdout), collect(child.stderr), once(child, 'close')])

  assert.equal(out, `${key}\n`, err)
  assert.deepEqual(filesOf(host.cas), before)
})

test('a group member who does not own the record of an image records its use all the same', {skip: asRoot}, async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  const sidecar = join(host.cas, 'image', `${key}.json`)
  const content = readFileSync(sidecar, 'utf8')
  chmodSync(host.dir, 0o755)
  for (const path of [host.cas, join(host.cas, 'image'), join(host.cas, 'blob'), sidecar]) chownSync(path, 0, 65534)
  chmodSync(sidecar, 0o660)
  const past = new Date('2001-02-03T04:05:06Z')
  utimesSync(sidecar, past, past)
  const child = asNobody(`openStore(${JSON.stringify(host.cas)}).touch(${JSON.stringify(key)})`)
  const [err, [code]] = await Promise.all([collect(child.stderr), once(child, 'close')])

  assert.equal(code, 0, err)
  assert.ok(host.store.info(key).lastUsed > past)
  assert.equal(readFileSync(sidecar, 'utf8'), content)
})

test('a full disk stops an import, and nothing of it stays', {
  skip: process.geteuid?.() === 0 ? false : 'needs root to mount',
}, async () => {
  using host = aStore()
  const path = join(host.dir, 'big.aci')
  writeFileSync(path, await anArchive(aManifest(), {file: 'x'.repeat(8 << 20)}))
  mkdirSync(join(host.dir, 'small'))
  const script = `
    mount -t tmpfs -o size=3m rkt-test ${host.dir}/small || exit 77
    exec ${process.execPath} --input-type=module -e '
      import {openSync, readdirSync, statSync} from "node:fs"
      const {openStore} = await import(${JSON.stringify(join(import.meta.dirname, 'index.ts'))})
      const store = openStore(${JSON.stringify(join(host.dir, 'small/cas'))})
      const error = await store.importAci(openSync(${JSON.stringify(path)}), {latest: false, source: "x"}).then(() => null, (error) => error)
      const {causeChain} = await import(${JSON.stringify(join(import.meta.dirname, '../errors.ts'))})
      const files = readdirSync(store.casDir, {recursive: true}).filter((name) => statSync(store.casDir + "/" + name).isFile())
      console.log(JSON.stringify({chain: causeChain(error), files, images: await store.list()}))
    '`
  const child = spawn('unshare', ['-m', 'sh', '-c', script], {stdio: ['ignore', 'pipe', 'pipe']})
  const [out, err, [code]] = await Promise.all([collect(child.stdout), collect(child.stderr), once(child, 'close')])

  assert.equal(code, 0, err)
  const {chain, files, images} = JSON.parse(out) as {chain: string[]; files: string[]; images: unknown[]}
  assert.match(chain.at(-1) ?? '', /no space left on device/)
  assert.deepEqual([files, images], [[], []])
})

test('files that somebody else owns are no reason to fail a sweep', async () => {
  using host = aStore()
  const tmp = host.store.tmpDir()
  writeFileSync(join(tmp, 'left-over'), '')
  mkdirSync(join(tmp, 'left-over-directory/deep'), {recursive: true})
  if (process.geteuid?.() === 0) chownSync(join(tmp, 'left-over'), 65534, 65534)

  await host.store.sweep()

  assert.deepEqual(readdirSync(tmp), [])
})

test('the record of a download is forgotten with its image, and one that is damaged counts as none', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  const url = 'https://example.com/a.aci?x=1'
  const remote = {downloadTime: new Date(0), etag: 'unquoted', key, maxAge: 60, signatureUrl: `${url}.asc`, url}
  await host.store.putRemote(remote)
  assert.deepEqual(host.store.remote(url), remote)

  for (const name of readdirSync(join(host.cas, 'remote'))) writeFileSync(join(host.cas, 'remote', name), '{}')

  assert.equal(host.store.remote(url), null)
})

function filesOf(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((name) => !name.startsWith('imagelocks/'))
    .sort()
}

/** A process that says when it begins and imports archives one after the other. */
function importer(cas: string, archives: readonly string[]) {
  return inStore(
    cas,
    `
    import {openSync} from 'node:fs'
    console.log('begin')
    for (const path of ${JSON.stringify(archives)}) await store.importAci(openSync(path), {latest: false, source: path})`,
  )
}

/** A process with the `store` at hand. */
function inStore(cas: string, script: string) {
  const opened = `
    const {openStore} = await import(${JSON.stringify(join(import.meta.dirname, 'index.ts'))})
    const store = openStore(${JSON.stringify(cas)})
    ${script}`
  return spawn(process.execPath, ['--input-type=module', '-e', opened], {stdio: ['ignore', 'pipe', 'inherit']})
}

/** A process of user and group nobody that runs a script with `openStore` at hand. */
function asNobody(script: string) {
  const start = `
    const {openStore} = await import(${JSON.stringify(join(import.meta.dirname, 'index.ts'))})
    const {native} = await import(${JSON.stringify(join(import.meta.dirname, '../native/index.ts'))})
    native()
    process.setgroups([]); process.setgid(65534); process.setuid(65534)
    ${script}`
  return spawn(process.execPath, ['--input-type=module', '-e', start], {stdio: ['ignore', 'pipe', 'pipe']})
}

/** Everything that can be seen of a store is there, is what it says, and is found by every way. */
async function assertWhole(store: Store, cas: string): Promise<void> {
  const sidecars = readdirSync(join(cas, 'image')).map((name) => name.replace(/\.json$/, ''))
  for (const key of sidecars) {
    assert.ok(isImageKey(key))
    const {labels, name, size} = store.info(key)
    const blob = readFileSync(store.blobPath(key))
    assert.equal(blob.length, size)
    assert.equal(createHash('sha512').update(blob).digest('hex'), store.digest(key))
    assert.equal(store.manifest(key).name, name)
    assert.equal(store.findByName(name, labels), key)
  }
  assert.deepEqual((await store.list()).map((image) => image.key as string).sort(), sidecars.sort())
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
