/** Fetches from a registry by several processes and users, and by ones that are killed. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {registryMissing, startRegistry, writeLayout} from '../registry/harness.ts'
import {addBusybox, aHost, type Host} from './harness/index.ts'

const skip = registryMissing()
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const rounds = process.env.RKT_TEST_LONG ? 100 : 15

/** A layout of an image with three layers, which runs. */
async function anImage(host: Host): Promise<string> {
  const rootfs = host.path('rootfs')
  addBusybox(rootfs)
  const files = (at: number) => Object.fromEntries(Array.from({length: 1000}, (_, file) => [`data/${at}/${file}`, randomBytes(10_000)]))
  const layers = [{'bin/busybox': readFileSync(join(rootfs, 'bin/busybox'))}, files(1), files(2)]
  const config = {Cmd: ['true'], Entrypoint: ['/bin/busybox']}
  return (await writeLayout(host.path('layout'), [{architecture, config, layers}])).directory
}

/** What of the store belongs to images; locks, the index and empty directories may stay. */
function leftovers(host: Host): string[] {
  const cas = join(host.dataDir, 'cas')
  const parts = ['blob', 'digest', 'image', 'imageManifest', 'layer', 'name', 'remote', 'tmp', 'tree', 'treesize', 'verified']
  return parts.flatMap((part) => {
    try {
      const entries = readdirSync(join(cas, part), {recursive: true, withFileTypes: true})
      return entries.filter((entry) => !entry.isDirectory()).map((entry) => `${part}/${entry.name}`)
    } catch {
      return [] // nobody made it yet
    }
  })
}

test('a fetch that is killed at any moment never leaves a visible image that is not whole, and image gc takes the rest away', {
  skip,
  timeout: 600_000,
}, async (t) => {
  await using host = await aHost()
  await using registry = await startRegistry({directory: host.path('registry')})
  registry.push(await anImage(host), 'ns/app:1.0')
  const fetch = ['fetch', '--quiet', '--full', `docker://${registry.host}/ns/app:1.0`]
  const started = performance.now()
  const key = (await host.ok(fetch)).trim()
  const whole = performance.now() - started
  await host.ok(['image', 'gc', '--grace-period=0s'])
  assert.deepEqual(leftovers(host), [])
  let visible = 0
  let remains = 0

  for (let round = 0; round < rounds; round++) {
    const running = host.start(fetch)
    // before that, nothing was written: the program starts
    const after = (0.2 + Math.random() * 0.9) * whole
    await sleep(after)
    running.kill('SIGKILL')
    await running.exit

    const listed = (await host.ok(['image', 'list', '--no-legend', '--full', '--fields=id'])).trim()
    assert.ok(['', key].includes(listed), `after ${after} ms: ${listed}`)
    if (leftovers(host).length > 0) remains++
    if (listed === key) {
      visible++
      await host.ok(['image', 'verify', key])
      await host.ok(['image', 'export', '--oci', '--overwrite', key, host.path('out.tar')])
    }
    await host.ok(['image', 'gc', '--grace-period=0s'])
    assert.deepEqual(leftovers(host), [], `after ${after} ms`)
  }

  t.diagnostic(`${rounds} killed: ${visible} images were visible, ${remains} left something for image gc`)
  assert.ok(remains > 0, 'some were killed in the middle of it')
  assert.equal((await host.ok(fetch)).trim(), key)
  await host.ok(['run', '--net=host', '--pull-policy=never', key])
})

test('ten processes that fetch one image at once all succeed, and the store has it once', {skip, timeout: 300_000}, async () => {
  await using host = await aHost()
  await using registry = await startRegistry({directory: host.path('registry')})
  registry.push(await anImage(host), 'ns/app:1.0')

  const results = await Promise.all(
    Array.from({length: 10}, () => host.rkt(['fetch', '--full', `docker://${registry.host}/ns/app:1.0`], {timeoutMs: 240_000})),
  )

  assert.deepEqual(
    results.map(({status, stderr}) => (status === 0 ? 0 : stderr)),
    results.map(() => 0),
  )
  assert.equal(new Set(results.map(({stdout}) => stdout)).size, 1)
  // three layers, config, manifest
  assert.equal(leftovers(host).filter((path) => path.startsWith('blob/')).length, 5)
  assert.equal(leftovers(host).filter((path) => path.startsWith('tmp/')).length, 0)
})

test('a member of group rkt fetches, lists, exports and removes; root runs, and neither gets in the other’s way', {skip}, async (t) => {
  await using host = await aHost()
  await using registry = await startRegistry({directory: host.path('registry')})
  registry.push(await anImage(host), 'ns/app:1.0')
  const group = 4711
  chmodSync(host.dir, 0o755)
  mkdirSync(host.dataDir)
  chownSync(host.dataDir, 0, group)
  chmodSync(host.dataDir, 0o2770)
  // who is no member of group rkt has data of their own
  const groups = host.write('group', `${readFileSync('/etc/group', 'utf8')}rkt:x:${group}:\n`)
  execFileSync('mount', ['--bind', groups, '/etc/group'])
  t.after(() => execFileSync('umount', ['/etc/group']))
  const image = `docker://${registry.host}/ns/app:1.0`
  const member = async (...args: string[]) => {
    host.within = ['setpriv', '--reuid=65534', `--regid=${group}`, '--clear-groups']
    try {
      return await host.rkt(args, {env: {HOME: '/'}})
    } finally {
      host.within = []
    }
  }
  const does = async (...args: string[]) => {
    const {status, stderr, stdout} = await member(...args)
    assert.equal(status, 0, stderr)
    return stdout.trim()
  }

  const key = await does('fetch', '--quiet', '--full', image)
  assert.match(await does('image', 'list', '--full'), new RegExp(key))
  assert.equal(JSON.parse(await does('image', 'cat-manifest', key)).acKind, 'ImageManifest')
  await does('image', 'export', '--oci', key, join('/tmp', `rkt-export-${process.pid}.tar`))
  await host.refused(['run', '--net=host', '--pull-policy=never', image], {
    globals: host.globals.filter((word) => !word.startsWith('--insecure')),
  })
  await host.ok(['run', '--net=host', image])
  await host.ok(['gc', '--grace-period=0s'])
  assert.equal(await does('fetch', '--quiet', '--full', '--pull-policy=update', image), key)
  // what both of them use stays open to both
  for (const part of ['blob', 'digest', 'image', 'imageManifest', 'name', 'remote', 'db', 'tmp']) {
    for (const entry of readdirSync(join(host.dataDir, 'cas', part), {recursive: true, withFileTypes: true})) {
      const {gid, mode} = statSync(join(entry.parentPath, entry.name))
      assert.deepEqual([gid, mode & 0o060], [group, 0o060], join(entry.parentPath, entry.name))
    }
  }
  // what only root may see is closed: the trees, and root's own word
  for (const part of ['tree', 'layer', 'verified']) assert.equal(statSync(join(host.dataDir, 'cas', part)).mode & 0o077, 0, part)

  assert.match(await does('image', 'rm', key), /^successfully removed aci for image/)
  assert.equal((await host.ok(['fetch', '--quiet', '--full', image])).trim(), key)
  assert.match((await member('image', 'gc')).stderr, /permission denied/)
  await host.ok(['image', 'gc', '--grace-period=0s'])
  assert.deepEqual(leftovers(host), [])
  assert.equal(await does('fetch', '--quiet', '--full', image), key)
})
