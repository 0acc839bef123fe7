import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {registryMissing, writeLayout} from '../../../test/registry/harness.ts'
import {aHost, unverified} from '../fixture.ts'

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const skip = registryMissing()
let dir: string
let layout: string
let digest: string

const skopeo = (...args: string[]) => execFileSync('skopeo', ['--insecure-policy', 'copy', '--quiet', ...args], {stdio: 'pipe'})
const tar = (path: string, from: string) => execFileSync('tar', ['-cf', path, '-C', from, '.'])
const shown = (host: ReturnType<typeof aHost>, key: Awaited<ReturnType<ReturnType<typeof aHost>['find']>>) => {
  const {labels, name, source} = host.store.info(key)
  return {name, source, version: labels.find((label) => label.name === 'version')?.value}
}

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-local-'))
  layout = join(dir, 'My Layout')
  ;({digest} = await writeLayout(layout, [{architecture, layers: [{'bin/hello': 'hello'}, {'etc/motd': 'hi'}]}]))
})
after(() => rmSync(dir, {force: true, recursive: true}))

/** A copy of the layout whose index.json is another. */
function withIndex(name: string, change: (index: {manifests: Record<string, unknown>[]}) => void): string {
  const path = join(dir, name)
  cpSync(layout, path, {recursive: true})
  const index = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8'))
  change(index)
  writeFileSync(join(path, 'index.json'), JSON.stringify(index))
  return path
}

const named = (entry: Record<string, unknown> | undefined, name: string) => ({
  ...entry,
  annotations: {'org.opencontainers.image.ref.name': name},
})

describe('an OCI layout', () => {
  test('with one image gives it, as a directory, as a tar, and compressed', async () => {
    using host = aHost()
    const file = join(dir, 'layout.tar')
    tar(file, layout)
    writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)))
    writeFileSync(`${file}.zst`, zstdCompressSync(readFileSync(file)))

    const key = await host.find(`oci:${layout}`, unverified)

    assert.deepEqual(shown(host, key), {
      name: 'localhost/my-layout',
      source: `cimd:oci-image-layout:v=0:${encodeURIComponent(`file://${encodeURI(layout)}`)}`,
      version: undefined,
    })
    for (const path of [`oci:${file}`, `oci-archive:${file}`, `oci:${file}.gz`, `oci:${file}.zst`, `oci:${layout}:${digest}`]) {
      assert.equal(await host.find(path, {...unverified, pullPolicy: 'never'}), key, path)
      assert.deepEqual(host.tmp(), [])
    }
    assert.equal(shown(host, key).name, 'localhost/my-layout')
    const [record] = await host.store.list()
    assert.equal(record?.source.endsWith(`?ref=${encodeURIComponent(digest)}`), true)
    assert.equal(await host.find(record?.source ?? '', unverified), key)
  })

  test('with several images gives the one that is named, and lists them otherwise', async () => {
    using host = aHost()
    const other = await writeLayout(join(dir, 'other'), [{architecture, layers: [{other: 'image'}]}])
    const path = withIndex('several:1', (index) => {
      const [first] = index.manifests
      const [second] = JSON.parse(readFileSync(join(other.directory, 'index.json'), 'utf8')).manifests
      index.manifests = [named(first, 'quay.io/ns/app:v1'), named(second, 'v2'), {...first, artifactType: 'application/spdx+json'}]
    })
    cpSync(join(other.directory, 'blobs'), join(path, 'blobs'), {recursive: true})

    const one = await host.find(`oci:${path}:quay.io/ns/app:v1`, unverified)
    const two = await host.find(`oci:${path}:v2`, unverified)

    assert.deepEqual(shown(host, one), {
      name: 'quay.io/ns/app',
      source: `cimd:oci-image-layout:v=0:${encodeURIComponent(`file://${path}`)}?ref=${encodeURIComponent('quay.io/ns/app:v1')}`,
      version: 'v1',
    })
    assert.deepEqual([shown(host, two).name, shown(host, two).version], ['localhost/several-1', 'v2'])
    const hint = /^It has "quay\.io\/ns\/app:v1", "v2"\./
    await assert.rejects(host.find(`oci:${path}`, unverified), {code: 'RKT_IMAGE_AMBIGUOUS', hint})
    await assert.rejects(host.find(`oci:${path}:v3`, unverified), {code: 'RKT_IMAGE_NOT_FOUND', hint})
  })

  test('that is damaged or none is refused by name, and leaves nothing', async () => {
    using host = aHost()
    const [layer] = JSON.parse(readFileSync(join(layout, 'blobs/sha256', digest.slice(7)), 'utf8')).layers
    const at = (path: string, of: string) => join(path, 'blobs/sha256', of.replace('sha256:', ''))
    const copy = (name: string) => withIndex(name, () => {})
    const missing = copy('missing')
    rmSync(at(missing, layer.digest))
    const changed = copy('changed')
    writeFileSync(at(changed, layer.digest), Buffer.alloc(layer.size))
    const longer = copy('longer')
    writeFileSync(at(longer, digest), `${readFileSync(at(longer, digest))} `)
    const other = withIndex('other-type', ({manifests}) =>
      Object.assign(manifests[0] ?? {}, {mediaType: 'application/vnd.oci.image.index.v1+json'}),
    )
    const out = withIndex('out', ({manifests}) => Object.assign(manifests[0] ?? {}, {digest: 'sha256:../../../etc/passwd'}))
    const none = join(dir, 'none')
    mkdirSync(none, {recursive: true})
    const file = join(dir, 'text.tar')
    writeFileSync(file, 'no tar at all'.repeat(100))
    const cut = join(dir, 'cut.tar.gz')
    writeFileSync(cut, gzipSync(Buffer.alloc(100_000, 'x')).subarray(0, 60))
    for (const [path, code] of [
      [missing, 'RKT_OCI_LAYOUT_INVALID'],
      [changed, 'RKT_LAYER_DIGEST'],
      [longer, 'RKT_OCI_LAYOUT_INVALID'],
      [other, 'RKT_OCI_DOCUMENT_INVALID'],
      [out, 'RKT_OCI_DOCUMENT_INVALID'],
      [none, 'RKT_OCI_LAYOUT_INVALID'],
      [file, 'RKT_TAR_INVALID'],
      [cut, 'RKT_TAR_INVALID'],
      [join(dir, 'absent'), 'RKT_IMAGE_UNREADABLE'],
    ] as const) {
      await assert.rejects(host.find(`oci:${path}`, unverified), {code}, path)
      assert.deepEqual(await host.images(), [], path)
      assert.deepEqual(host.tmp(), [], path)
    }
    assert.ok(await host.find(`oci:${layout}`, unverified))
  })

  test('is not taken without a signature', async () => {
    using host = aHost()
    await assert.rejects(host.find(`oci:${layout}`), {
      code: 'RKT_SIGSTORE_NO_KEY',
      hint: 'Trust the key that signs it (rkt trust --sigstore-key --prefix localhost/my-layout KEYFILE), or use --insecure-options=image.',
    })
  })
})

const umociMissing = ['/usr/bin/umoci', '/usr/local/bin/umoci'].some((path) => existsSync(path)) ? false : 'not installed: umoci'

test('a layout of umoci, whose layers lack the padding at their end, gives its image', {skip: umociMissing}, async () => {
  using host = aHost()
  const umoci = (...args: string[]) => execFileSync('umoci', args, {cwd: dir, stdio: 'pipe'})
  mkdirSync(join(dir, 'tree'))
  writeFileSync(join(dir, 'tree/hello'), 'hello')
  umoci('init', '--layout', 'umoci')
  umoci('new', '--image', 'umoci:v1')
  umoci('insert', '--image', 'umoci:v1', 'tree', '/opt')
  umoci('config', '--image', 'umoci:v1', '--config.cmd', '/opt/hello', '--config.user', 'app:www')

  const key = await host.find(`oci:${join(dir, 'umoci')}:v1`, unverified)

  const {app} = host.store.manifest(key)
  assert.deepEqual([app?.exec, app?.user, app?.group], [['/opt/hello'], 'app', 'www'])
  await host.ports.treestore.renderInto(key, mkdtempSync(join(dir, 'out-')))
})

describe('an archive of docker save', {skip}, () => {
  test('gives its image, by name or alone, and the same image each time', async () => {
    using host = aHost()
    const path = join(dir, 'saved.tar')
    skopeo(`oci:${layout}`, `docker-archive:${path}:docker.io/library/hello:1.2`)

    const key = await host.find(`docker-archive:${path}`, unverified)

    assert.deepEqual(shown(host, key), {
      name: 'registry-1.docker.io/library/hello',
      source: `cimd:docker-archive:v=0:${encodeURIComponent(`file://${path}`)}`,
      version: '1.2',
    })
    assert.deepEqual(host.store.manifest(key).app?.exec, ['/hello'])
    for (const ref of ['hello:1.2', 'docker.io/library/hello:1.2', '@0']) {
      assert.equal(await host.find(`docker-archive:${path}:${ref}`, unverified), key)
    }
    await assert.rejects(host.find(`docker-archive:${path}:hello`, unverified), {
      code: 'RKT_IMAGE_NOT_FOUND',
      hint: 'It has "docker.io/library/hello:1.2".',
    })
    await assert.rejects(host.find(`docker-archive:${path}`), {code: 'RKT_SIGSTORE_NO_KEY'})
  })

  test('that is an OCI layout too is read as one', async () => {
    using host = aHost()
    const both = withIndex('both', ({manifests}) =>
      Object.assign(manifests[0] ?? {}, {
        annotations: {'io.containerd.image.name': 'docker.io/library/both:latest', 'org.opencontainers.image.ref.name': 'latest'},
      }),
    )
    writeFileSync(join(both, 'manifest.json'), '[]')
    const path = join(dir, 'both.tar')
    tar(path, both)

    const key = await host.find(`docker-archive:${path}:both`, unverified)

    assert.equal(shown(host, key).name, 'registry-1.docker.io/library/both')
    assert.equal(host.store.info(key).oci?.manifest, digest)
  })

  test('whose files lead elsewhere or lie is refused', async () => {
    using host = aHost()
    const good = join(dir, 'good')
    mkdirSync(good)
    skopeo(`oci:${layout}`, `docker-archive:${join(dir, 'good.tar')}:hello:1`)
    execFileSync('tar', ['-xf', join(dir, 'good.tar'), '-C', good])
    const [item] = JSON.parse(readFileSync(join(good, 'manifest.json'), 'utf8'))
    const cases: Record<string, [unknown, string]> = {
      'a config outside': [[{...item, Config: '../../etc/passwd'}], 'RKT_DOCKER_ARCHIVE_INVALID'],
      'a layer outside': [[{...item, Layers: ['/../etc/passwd', item.Layers[1]]}], 'RKT_DOCKER_ARCHIVE_INVALID'],
      'layers in another order': [[{...item, Layers: item.Layers.toReversed()}], 'RKT_LAYER_DIGEST'],
      'no layers': [[{...item, Layers: []}], 'RKT_DOCKER_ARCHIVE_INVALID'],
      'no list': [{}, 'RKT_DOCKER_ARCHIVE_INVALID'],
    }
    for (const [name, [manifest, code]] of Object.entries(cases)) {
      writeFileSync(join(good, 'manifest.json'), JSON.stringify(manifest))
      const path = join(dir, 'lies.tar')
      tar(path, good)
      await assert.rejects(host.find(`docker-archive:${path}`, unverified), {code}, name)
    }
    for (const name of ['manifest.json', 'repositories']) rmSync(join(good, name))
    tar(join(dir, 'export.tar'), good)
    await assert.rejects(host.find(`docker-archive:${join(dir, 'export.tar')}`, unverified), {
      code: 'RKT_DOCKER_ARCHIVE_INVALID',
      hint: /use "docker save"/,
    })
    assert.deepEqual(await host.images(), [])
  })
})
