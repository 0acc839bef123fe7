import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {join} from 'node:path'
import {test} from 'node:test'
import {gunzipSync} from 'node:zlib'
import {aHost, buildImage, busybox, contents, hostileArchive, manifest, tarBytes} from './harness/index.ts'

const sha512 = (bytes: Uint8Array): string => createHash('sha512').update(bytes).digest('hex')

/** The uncompressed tar of an ACI of ours. */
function plain(aci: string): Buffer {
  const bytes = readFileSync(aci)
  return bytes[0] === 0x1f ? gunzipSync(bytes) : bytes
}

test('fetch prints a prefix of the SHA-512 of the uncompressed archive, and 64 digits of it with --full', async () => {
  await using host = await aHost()
  const image = await busybox()
  const digest = sha512(plain(image))

  assert.equal(await host.ok(['fetch', image]), `sha512-${digest.slice(0, 32)}\n`)
  assert.equal(await host.ok(['fetch', '--full', `file://${image}`]), `sha512-${digest.slice(0, 64)}\n`)
  const [, , size] = (await host.ok(['image', 'list', '--full', '--no-legend'])).trim().split(/\t+/)
  assert.ok(Number(size) >= plain(image).length, 'the size counts the blob and its tree')
})

for (const [compression, command] of Object.entries({
  bzip2: ['bzip2'],
  gzip: ['gzip'],
  none: ['cat'],
  xz: ['xz', '-T1', '-1'],
  zstd: ['zstd', '-q'],
})) {
  test(`an archive compressed by ${compression} is known by its magic number, whatever its name`, async () => {
    await using host = await aHost()
    const tar = plain(await busybox())
    const [program = '', ...args] = command
    const file = host.write('image.anything.aci', execFileSync(program, args, {input: tar, maxBuffer: 2 ** 28}))

    assert.equal(await host.ok(['fetch', file]), `sha512-${sha512(tar).slice(0, 32)}\n`)
  })
}

test('image list shows what is stored, in the columns and the order asked for', async () => {
  await using host = await aHost()
  assert.equal(await host.ok(['image', 'list']), 'ID\tNAME\tSIZE\tIMPORT TIME\tLAST USED\n')
  await host.ok(['fetch', await busybox()])
  await host.ok(['fetch', await buildImage(manifest({app: null, name: 'example.com/another', version: '0.1'}), () => {})])

  assert.match(
    await host.ok(['image', 'list']),
    /^ID\t+NAME\t+SIZE\t+IMPORT TIME\t+LAST USED\nsha512-[\da-f]{12}\t+example.com\/busybox:1.0.0\t+\d\S*MiB\t/,
  )
  assert.match(
    await host.ok(['image', 'list', '--no-legend', '--fields=name', '--sort=name']),
    /^example.com\/another:0.1\nexample.com\/busybox:1.0.0\n$/,
  )
  assert.match(
    await host.ok(['image', 'list', '--no-legend', '--fields=name', '--sort=name', '--order=desc']),
    /^example.com\/busybox:1.0.0\nexample.com\/another/,
  )
  const [first] = JSON.parse(await host.ok(['image', 'list', '--format=json']))
  assert.deepEqual(Object.keys(first), ['id', 'name', 'import_time', 'last_used_time', 'size', 'source', 'sources'])
  assert.match(first.id, /^sha512-[\da-f]{64}$/)
  assert.match(await host.ok(['image', 'list', '--format=json-pretty']), /^\[\n\t\{\n\t\t"id": "/)
})

test('an empty store lists null as JSON', async () => {
  await using host = await aHost()

  assert.equal(await host.ok(['image', 'list', '--format=json']), 'null\n')
})

test('an image is found by a prefix of its id, by its name, by its version and by its labels', async () => {
  await using host = await aHost()
  const id = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const newer = (
    await host.ok(['fetch', '--full', await buildImage(manifest({name: 'example.com/busybox', version: '2.0.0'}), () => {})])
  ).trim()
  const nameOf = async (reference: string): Promise<string> => {
    const {labels} = JSON.parse(await host.ok(['image', 'cat-manifest', reference]))
    return labels[0].value
  }

  assert.equal(await nameOf(id), '1.0.0')
  assert.equal(await nameOf(id.slice(0, 19)), '1.0.0')
  assert.equal(await nameOf(`${id}${'0'.repeat(64)}`), '1.0.0', 'a longer id is cut')
  assert.equal(await nameOf('example.com/busybox:1.0.0'), '1.0.0')
  assert.equal(await nameOf('example.com/busybox,version=2.0.0,os=linux'), '2.0.0')
  assert.equal(await nameOf('example.com/busybox'), '2.0.0', 'the one imported last, when none is the latest')
  assert.equal(await nameOf(newer), '2.0.0')
})

test('references that name nothing are refused in the documented words', async () => {
  await using host = await aHost()
  await host.ok(['fetch', await busybox()])
  const cases: [string, string][] = [
    ['example.com/none', 'cannot find aci satisfying name: "example.com/none" and labels: [] in the local store'],
    ['sha512-00000', 'no image IDs found'],
    ['sha512-0', 'image ID too short'],
    ['sha256-00000', 'wrong key prefix'],
  ]
  for (const [reference, message] of cases)
    assert.equal((await host.refused(['image', 'cat-manifest', reference])).split('\n')[0], `cat-manifest: ${message}`, reference)
  assert.match(
    await host.refused(['image', 'cat-manifest', 'some~random~aci~name']),
    /cannot find aci satisfying name: "some~random~aci~name"/,
  )
  assert.match(await host.refused(['image', 'cat-manifest', 'UPPER']), /cannot parse the image name "UPPER"/)
})

test('image rm removes blob, manifest, name and tree; what is not there is said and is no error', async () => {
  await using host = await aHost()
  await host.ok(['image', 'list'])
  const id = (await host.ok(['fetch', '--full', await busybox()])).trim()

  const removed = await host.rkt(['image', 'rm', 'example.com/busybox'])
  const again = await host.rkt(['image', 'rm', 'example.com/busybox'])

  assert.deepEqual([removed.status, removed.stdout], [0, `successfully removed aci for image: "${id}"\n`])
  assert.equal(removed.stderr, 'rm: 1 image(s) successfully removed\n')
  assert.deepEqual([again.status, again.stdout], [0, ''])
  assert.equal(again.stderr, 'rm: cannot find aci satisfying name: "example.com/busybox" and labels: [] in the local store\n')
  assert.deepEqual(
    contents(join(host.dataDir, 'cas/blob')).filter((line) => line.startsWith('f')),
    [],
  )
  assert.match(await host.refused(['image', 'rm']), /must provide at least one image ID/)
})

test('image export gives back the stored archive byte by byte', async () => {
  await using host = await aHost()
  const image = await busybox()
  await host.ok(['fetch', image])
  const file = host.path('out.aci')

  await host.ok(['image', 'export', 'example.com/busybox', file])

  assert.ok(readFileSync(file).equals(plain(image)))
  assert.equal(statSync(file).mode & 0o777, 0o644)
  assert.equal(await host.refused(['image', 'export', 'example.com/busybox', file]), 'export: output ACI file exists (try --overwrite)\n')
  await host.ok(['image', 'export', '--overwrite', 'example.com/busybox', file])
})

test('a damaged image is refused by export, verify, extract and run, and fetched anew', async () => {
  await using host = await aHost()
  const image = await busybox()
  const id = (await host.ok(['fetch', '--full', image])).trim()
  await host.ok(['image', 'verify', id])
  const blob = join(host.dataDir, 'cas/blob/sha512', id.slice(7, 9), id)
  const bytes = readFileSync(blob)
  writeFileSync(blob, Buffer.from(bytes).fill('x', bytes.length >> 1, (bytes.length >> 1) + 1))

  const damaged = /image hash does not match expected|is not what its hash says/
  for (const words of [
    ['export', id, host.path('out.aci')],
    ['verify', id],
    ['extract', id, host.path('out')],
  ]) {
    const said = await host.refused(['image', ...words])
    assert.match(said, damaged)
    assert.match(said, /Fetch the image again/)
  }
  assert.deepEqual([existsSync(host.path('out.aci')), existsSync(host.path('out'))], [false, false])
  assert.equal((await host.ok(['fetch', '--full', image])).trim(), id)
  await host.ok(['image', 'verify', id])
  assert.deepEqual(readFileSync(blob), bytes)
})

test('image extract unpacks the image alone, image render the image with what it depends on', async () => {
  await using host = await aHost()
  const base = await buildImage(manifest({app: null, name: 'example.com/base'}), (rootfs) => {
    mkdirSync(join(rootfs, 'etc'))
    writeFileSync(join(rootfs, 'etc/base'), 'base')
    writeFileSync(join(rootfs, 'etc/both'), 'from the base')
  })
  const top = await buildImage(
    manifest({
      app: null,
      dependencies: [{imageName: 'example.com/base', labels: [{name: 'version', value: '1.0.0'}]}],
      name: 'example.com/top',
    }),
    (rootfs) => {
      mkdirSync(join(rootfs, 'etc'))
      writeFileSync(join(rootfs, 'etc/both'), 'from the top')
    },
  )
  await host.ok(['fetch', base])
  await host.ok(['fetch', top])

  await host.ok(['image', 'extract', 'example.com/top', host.path('ex')])
  await host.ok(['image', 'render', '--rootfs-only', 'example.com/top', host.path('re')])
  await host.ok(['image', 'render', 'example.com/top', host.path('full')])

  assert.deepEqual(readdirSync(host.path('ex')).sort(), ['manifest', 'rootfs'])
  assert.deepEqual(readdirSync(host.path('ex/rootfs/etc')), ['both'])
  assert.deepEqual(readdirSync(host.path('re/etc')).sort(), ['base', 'both'])
  assert.equal(readFileSync(host.path('re/etc/both'), 'utf8'), 'from the top')
  assert.equal(JSON.parse(readFileSync(host.path('full/manifest'), 'utf8')).name, 'example.com/top')
  assert.equal(
    await host.refused(['image', 'extract', 'example.com/top', host.path('ex')]),
    'extract: output directory exists (try --overwrite)\n',
  )
  assert.match(
    await host.refused(['image', 'extract', '--overwrite', 'example.com/top', '/']),
    /this would delete your root filesystem. Refusing./,
  )
})

test('path whitelists of an image and of what depends on it intersect', async () => {
  await using host = await aHost()
  const files = (rootfs: string): void => {
    for (const name of ['a', 'b', 'c']) writeFileSync(join(rootfs, name), name)
  }
  const base = await buildImage(manifest({app: null, name: 'example.com/base', pathWhitelist: ['/a', '/b']}), files)
  const top = await buildImage(
    manifest({app: null, dependencies: [{imageName: 'example.com/base'}], name: 'example.com/top', pathWhitelist: ['/b', '/c', '/top']}),
    (rootfs) => writeFileSync(join(rootfs, 'top'), ''),
  )
  await host.ok(['fetch', base])
  await host.ok(['fetch', top])

  await host.ok(['image', 'render', '--rootfs-only', 'example.com/top', host.path('re')])

  assert.deepEqual(readdirSync(host.path('re')).sort(), ['b', 'top'])
})

test('a tree keeps hard links, links, devices, fifos, modes, owners, times, long names, holes and capabilities', async () => {
  await using host = await aHost()
  const long = `rootfs/${'directory-of-a-long-name/'.repeat(12)}file`
  const capability = Buffer.from([1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  const mtime = new Date('2001-02-03T04:05:06Z')
  const archive = await hostileArchive(
    [
      {content: 'x'.repeat(10), gid: 7, mode: 0o4755, mtime, name: 'rootfs/file', uid: 6},
      {linkname: 'rootfs/file', name: 'rootfs/hard', type: 'link'},
      {linkname: '../outside', name: 'rootfs/symlink', type: 'symlink'},
      {devmajor: 1, devminor: 3, mode: 0o666, name: 'rootfs/null', type: 'character-device'},
      {devmajor: 7, devminor: 1, mode: 0o600, name: 'rootfs/loop', type: 'block-device'},
      {mode: 0o640, name: 'rootfs/fifo', type: 'fifo'},
      {content: 'long', name: long},
      {
        content: 'cap',
        mode: 0o755,
        name: 'rootfs/capable',
        pax: {'SCHILY.xattr.security.capability': capability.toString('latin1'), 'SCHILY.xattr.user.note': 'kept'},
      },
      {mode: 0o1777, mtime, name: 'rootfs/tmp', type: 'directory'},
      {content: 'inside', name: 'rootfs/tmp/inside'},
    ],
    'example.com/all-kinds',
  )
  await host.ok(['fetch', host.write('all.aci', archive)])

  await host.ok(['image', 'render', '--rootfs-only', 'example.com/all-kinds', host.path('re')])

  const stat = (name: string, format: string): string =>
    execFileSync('stat', ['-c', format, host.path('re', name)], {encoding: 'utf8'}).trim()
  assert.equal(stat('file', '%a %u %g %h %Y'), `4755 6 7 2 ${mtime.getTime() / 1000}`)
  assert.equal(stat('hard', '%i'), stat('file', '%i'))
  assert.equal(stat('symlink', '%N'), `'${host.path('re/symlink')}' -> '../outside'`)
  assert.equal(stat('null', '%a %t:%T %F'), '666 1:3 character special file')
  assert.equal(stat('loop', '%a %t:%T %F'), '600 7:1 block special file')
  assert.equal(stat('fifo', '%a %F'), '640 fifo')
  assert.equal(readFileSync(host.path('re', long.slice('rootfs/'.length)), 'utf8'), 'long')
  assert.equal(stat('tmp', '%a %Y'), `1777 ${mtime.getTime() / 1000}`)
  const attributes = execFileSync(
    'python3',
    [
      '-c',
      'import os,sys; print({n: os.getxattr(sys.argv[1], n).hex() for n in sorted(os.listxattr(sys.argv[1]))})',
      host.path('re/capable'),
    ],
    {encoding: 'utf8'},
  )
  assert.equal(
    attributes.trim(),
    `{'security.capability': '${capability.toString('hex')}', 'user.note': '${Buffer.from('kept').toString('hex')}'}`,
  )
})

test('a sparse file keeps its holes', async () => {
  await using host = await aHost()
  mkdirSync(host.path('tree/rootfs'), {recursive: true})
  host.write('tree/manifest', manifest({app: null, name: 'example.com/sparse'}))
  execFileSync(
    'sh',
    [
      '-c',
      'truncate -s 64M rootfs/sparse && printf end | dd of=rootfs/sparse bs=1 seek=67108000 conv=notrunc status=none && tar --format=gnu --sparse -cf ../sparse.aci manifest rootfs',
    ],
    {cwd: host.path('tree')},
  )
  await host.ok(['fetch', host.path('sparse.aci')])

  await host.ok(['image', 'render', '--rootfs-only', 'example.com/sparse', host.path('re')])

  const {blocks, size} = statSync(host.path('re/sparse'))
  assert.equal(size, 64 * 2 ** 20)
  assert.ok(blocks * 512 < 2 ** 20, `${blocks * 512} bytes on disk`)
  assert.equal(readFileSync(host.path('re/sparse')).subarray(67108000, 67108003).toString(), 'end')
})

test('image build gives the same bytes for the same tree, whenever and wherever it is built', async () => {
  await using host = await aHost()
  const make = (name: string): string => {
    const directory = host.path(name)
    mkdirSync(join(directory, 'rootfs/z'), {recursive: true})
    writeFileSync(join(directory, 'manifest'), manifest({app: null, name: 'example.com/reproducible'}))
    for (const file of ['b', 'a', 'z/c']) writeFileSync(join(directory, 'rootfs', file), file)
    symlinkSync('a', join(directory, 'rootfs/link'))
    return directory
  }
  const [first, second] = [make('one'), make('two/deeper')]
  execFileSync('touch', ['-d', '2020-01-01', join(second, 'rootfs/a')])

  await host.ok(['image', 'build', first, host.path('1.aci')])
  await host.ok(['image', 'build', second, host.path('2.aci')])

  assert.equal(sha512(readFileSync(host.path('1.aci'))), sha512(readFileSync(host.path('2.aci'))))
  assert.match(await host.refused(['image', 'build', first, host.path('1.aci')]), /output ACI file .*exists/)
  rmSync(join(first, 'manifest'))
  assert.match(await host.refused(['image', 'build', first, host.path('3.aci')]), /manifest/)
  assert.ok(!existsSync(host.path('3.aci')), 'nothing partial is visible')
})

test('an image is fetched over http; the store serves it afterwards, until an update is asked for', async () => {
  await using host = await aHost()
  const bytes = readFileSync(await busybox())
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.headers['if-none-match'] ?? '-'}`)
    if (request.url !== '/busybox.aci') return void response.writeHead(404).end()
    if (request.headers['if-none-match'] === '"tag"') return void response.writeHead(304).end()
    response.writeHead(200, {'content-length': bytes.length, etag: '"tag"'}).end(bytes)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const url = `http://127.0.0.1:${address.port}/busybox.aci`
  try {
    const id = await host.ok(['fetch', '--pull-policy=new', url])
    assert.equal(await host.ok(['fetch', '--pull-policy=new', url]), id)
    assert.deepEqual(asked, ['-'], 'the second one came from the store')
    assert.equal(await host.ok(['fetch', '--pull-policy=update', url]), id)
    assert.deepEqual(asked, ['-', '"tag"'], 'the update asked whether there is a newer one')
    assert.match(await host.refused(['fetch', `http://127.0.0.1:${address.port}/nosuch.aci`]), /404/)
  } finally {
    server.close()
  }
})

test('--pull-policy=never never asks anybody', async () => {
  await using host = await aHost()

  assert.match(await host.refused(['run', '--pull-policy=never', 'nosuch.invalid/app']), /nosuch\.invalid\/app/)
})

test('without the option a local image without a signature is refused, naming the file that is missing', async () => {
  await using host = await aHost()
  copyFileSync(await busybox(), host.path('bb.aci'))

  const stderr = await host.refused(['fetch', host.path('bb.aci')], {globals: [`--dir=${host.dataDir}`]})

  assert.match(stderr, /^fetch: open .*bb\.aci\.asc: no such file or directory$/m)
  assert.equal(await host.ok(['image', 'list', '--no-legend']), '')
})

test('the index is rebuilt when it is missing, damaged or older than the files', async () => {
  await using host = await aHost()
  await host.ok(['fetch', await busybox()])
  const before = await host.ok(['image', 'list', '--full'])
  const index = join(host.dataDir, 'cas/db/index.sqlite')
  assert.equal(readFileSync(index).subarray(0, 15).toString(), 'SQLite format 3')

  rmSync(index)
  assert.equal(await host.ok(['image', 'list', '--full']), before)
  writeFileSync(index, 'this is no database')
  assert.equal(await host.ok(['image', 'list', '--full']), before)
  const old = readFileSync(index)
  await host.ok(['fetch', await buildImage(manifest({app: null, name: 'example.com/second'}), () => {})])
  writeFileSync(index, old)
  assert.match(await host.ok(['image', 'list', '--no-legend']), /example.com\/second/)
})

test('a manifest with an unknown key is taken, and comes out as it is documented', async () => {
  await using host = await aHost()
  const archive = await tarBytes([
    {content: manifest({app: null, name: 'example.com/unknown-key', surprise: true}), name: 'manifest'},
    {name: 'rootfs', type: 'directory'},
  ])
  await host.ok(['fetch', host.write('x.aci', archive)])

  const shown = JSON.parse(await host.ok(['image', 'cat-manifest', '--pretty-print=false', 'example.com/unknown-key']))

  assert.equal(shown.surprise, undefined)
  assert.equal(shown.name, 'example.com/unknown-key')
})
