import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {registryMissing, startRegistry, writeLayout} from '../registry/harness.ts'
import {addBusybox, aHost, busybox, type Host} from './harness/index.ts'

const skip = registryMissing()
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** A layout with one image of two layers: busybox, and a file that hides another. */
async function anImage(host: Host, command: string): Promise<string> {
  const rootfs = host.path('rootfs')
  addBusybox(rootfs)
  const busybox = readFileSync(join(rootfs, 'bin/busybox'))
  const config = {
    Cmd: ['sh', '-c', command],
    Entrypoint: ['/bin/busybox'],
    Env: ['PATH=/bin', 'GREETING=hello'],
    User: '1000:100',
    WorkingDir: '/srv',
  }
  const layers = [
    {'bin/busybox': busybox, 'etc/motd': 'lower'},
    {'etc/motd': 'upper', 'srv/here': ''},
  ]
  const {directory} = await writeLayout(host.path('layout'), [{architecture, config, layers}])
  return directory
}

const shows = 'busybox echo $GREETING $(busybox id -u):$(busybox id -g) $(busybox pwd) $(busybox cat /etc/motd); exit 7'
const shown = /hello 1000:100 \/srv upper/

for (const overlay of [true, false]) {
  test(`a pod runs an image of a registry, ${overlay ? 'its layers mounted on each other' : 'without overlay'}`, {skip}, async () => {
    await using host = await aHost()
    await using registry = await startRegistry({directory: host.path('registry')})
    registry.push(await anImage(host, shows), 'ns/app:1.0')

    const result = await host.rkt(['run', '--net=host', ...(overlay ? [] : ['--no-overlay']), `docker://${registry.host}/ns/app:1.0`])

    assert.equal(result.status, 7, result.stderr)
    assert.match(result.stdout, shown)
    assert.match(result.stderr, /^Downloading sha256:[\da-f]{11} [\d.]+ K?M?B \/ [\d.]+ K?M?B$/m)
    const [row] = JSON.parse(await host.ok(['image', 'list', '--format=json', '--sort=name', '--order=desc']))
    assert.equal(row.name, `${registry.host.replace(':', '_')}/ns/app:1.0`)
    assert.equal(row.source, `cimd:docker:v=0:${registry.host}/ns/app:1.0`)
    assert.match(row.oci_digest, /^sha256:[\da-f]{64}$/)
    const again = await host.rkt(['run', '--net=host', '--pull-policy=never', row.oci_digest])
    assert.equal(again.status, 7, again.stderr)
    assert.match(again.stdout, shown)
  })
}

test('a pod runs an image of sixty layers, each of which it sees', async () => {
  await using host = await aHost()
  const rootfs = host.path('rootfs')
  addBusybox(rootfs)
  const own = Array.from({length: 59}, (_, number) => ({'etc/motd': `layer ${number}`, [`srv/${number}`]: ''}))
  const layers = [{'bin/busybox': readFileSync(join(rootfs, 'bin/busybox'))}, ...own]
  const config = {Entrypoint: ['/bin/busybox', 'sh', '-c', 'set -- /srv/*; echo $# $(/bin/busybox cat /etc/motd)']}
  const {directory} = await writeLayout(host.path('layout'), [{architecture, config, layers}])

  assert.match(await host.ok(['run', '--net=host', `oci:${directory}`]), /: 59 layer 58$/m)
})

test('an image of a registry is refused without a trusted key, and the refusal names the two ways', {skip}, async () => {
  await using host = await aHost()
  const globals = host.globals.filter((option) => !option.startsWith('--insecure-options'))

  const said = await host.refused(['fetch', 'docker://quay.io/ns/app'], {globals})

  assert.match(said, /no key is trusted for image "quay\.io\/ns\/app"/)
  assert.match(said, /rkt trust --sigstore-key --prefix quay\.io\/ns\/app KEYFILE/)
  assert.match(said, /--insecure-options=image/)
})

test('an image of an OCI layout goes out as an archive and as a layout, and comes back', async () => {
  await using host = await aHost()
  const layout = await anImage(host, shows)
  const key = (await host.ok(['fetch', '--full', `oci:${layout}`])).trim()

  await host.ok(['image', 'export', key, host.path('out.aci')])
  await host.ok(['image', 'export', '--oci', key, host.path('out.tar')])
  assert.match(await host.refused(['image', 'export', key, host.path('out.aci')]), /output ACI file exists \(try --overwrite\)/)
  await host.ok(['image', 'extract', key, host.path('extracted')])
  await host.ok(['image', 'render', '--rootfs-only', key, host.path('rendered')])

  assert.equal(readFileSync(host.path('extracted/rootfs/etc/motd'), 'utf8'), 'upper')
  assert.equal(readFileSync(host.path('rendered/etc/motd'), 'utf8'), 'upper')
  assert.equal(JSON.parse(readFileSync(host.path('extracted/manifest'), 'utf8')).name, 'localhost/layout')
  assert.equal(JSON.parse(await host.ok(['image', 'cat-manifest', key])).app.workingDirectory, '/srv')
  assert.match(await host.ok(['image', 'verify', key]), /successfully verified checksum|not rendered/)
  await host.ok(['image', 'rm', key])
  assert.equal((await host.ok(['fetch', '--full', `oci:${host.path('out.tar')}`])).trim(), key)
  const result = await host.rkt(['run', '--net=host', host.path('out.aci')])
  assert.equal(result.status, 7, result.stderr)
  assert.match(result.stdout, shown)
  const dev = execFileSync('tar', ['-tvf', host.path('out.aci')], {encoding: 'utf8', env: {...process.env, TZ: 'UTC'}})
  for (const link of ['fd -> /proc/self/fd', 'stdin -> /proc/self/fd/0', 'stdout -> /dev/console', 'stderr -> /dev/console'])
    assert.match(dev, new RegExp(`^lrwxrwxrwx 0/0 .* 1970-01-01 00:00 rootfs/dev/${link}$`, 'm'))
})

test('an ACI has no layers that could go out as a layout', async () => {
  await using host = await aHost()
  const layout = await anImage(host, shows)
  const key = (await host.ok(['fetch', '--full', `oci:${layout}`])).trim()
  await host.ok(['image', 'export', key, host.path('out.aci')])
  const aci = (await host.ok(['fetch', '--full', host.path('out.aci')])).trim()

  assert.match(await host.refused(['image', 'export', '--oci', aci, host.path('out.tar')]), /is an archive of appc/)
  assert.ok(!existsSync(host.path('out.tar')))
})

test('an image that has two names is listed, run and removed by each', {skip}, async () => {
  await using host = await aHost()
  await using registry = await startRegistry({directory: host.path('registry')})
  const layout = await anImage(host, shows)
  const [blue, green] = ['blue:1.0', 'green:2.0'].map((name) => `docker://${registry.host}/ns/${name}`) as [string, string]
  for (const name of ['ns/blue:1.0', 'ns/green:2.0']) registry.push(layout, name)
  const key = (await host.ok(['fetch', '--full', blue])).trim()
  const listed = async () =>
    (await host.ok(['image', 'list', '--no-legend', '--full', '--fields=id,name', '--sort=name'])).trim().split('\n')
  const row = (name: string) => `${key}\t${registry.host.replace(':', '_')}/ns/${name}`

  assert.equal((await host.ok(['fetch', '--full', green])).trim(), key)

  assert.deepEqual(
    (await listed()).filter((line) => line.startsWith(key)),
    [row('blue:1.0'), row('green:2.0')],
  )
  for (const [reference, app] of [
    [blue, 'blue'],
    [green, 'green'],
  ] as const) {
    const uuid = (await host.ok(['prepare', '--quiet', '--pull-policy=never', reference])).trim()
    const [pod] = JSON.parse(await host.ok(['list', '--format=json'])).filter(({name}: {name: string}) => name === uuid)
    assert.deepEqual(pod.app_names, [app])
    assert.match(await host.ok(['list', '--no-legend', '--full']), new RegExp(`${uuid}\t.*/ns/${app}:`))
  }
  const source = `cimd:docker:v=0:${registry.host}/ns/blue:1.0`
  const rows = JSON.parse(await host.ok(['image', 'list', '--format=json'])) as {sources: string[]}[]
  assert.equal(rows.filter(({sources}) => sources.includes(source)).length, 1)

  const one = await host.rkt(['image', 'rm', `${registry.host.replace(':', '_')}/ns/blue`])
  assert.equal(one.stdout, `successfully removed name "${registry.host.replace(':', '_')}/ns/blue:1.0" of image: "${key}"\n`)
  assert.deepEqual(
    (await listed()).filter((line) => line.startsWith(key)),
    [row('green:2.0')],
  )
  await host.refused(['run', '--pull-policy=never', blue])
  const two = await host.rkt(['image', 'rm', `${registry.host.replace(':', '_')}/ns/green`])
  assert.deepEqual([two.stdout, two.status], [`successfully removed aci for image: "${key}"\n`, 0])
})

test('image rm leaves the image of a running pod, says which pod that is, and goes on with others', async () => {
  await using host = await aHost()
  const layout = await anImage(host, 'busybox sleep 60')
  const pod = await host.pod(['--net=host', `oci:${layout}`])
  const key = (await host.ok(['fetch', '--full', `oci:${layout}`])).trim()
  const busy = (await host.ok(['fetch', '--full', await busybox()])).trim()

  const result = await host.rkt(['image', 'rm', key, busy])

  assert.equal(result.status, 254)
  assert.equal(result.stdout, `successfully removed aci for image: "${busy}"\n`)
  assert.match(
    result.stderr,
    new RegExp(
      `^rm: error removing aci for image "${key}" \\("localhost/layout"\\): running pod ${pod.uuid} uses it: stop it first, with "rkt stop ${pod.uuid}"$`,
      'm',
    ),
  )
  assert.match(result.stderr, /^rm: 1 image\(s\) cannot be removed$/m)
  assert.match(await host.ok(['image', 'list', '--full']), new RegExp(key))
  await pod.stop('--force')
  await host.ok(['image', 'rm', key])
})

test('image gc says what keeps what stays, and takes all when nothing keeps it', async () => {
  await using host = await aHost()
  const layout = await anImage(host, 'busybox sleep 60')
  const pod = await host.pod(['--net=host', `oci:${layout}`])
  const key = (await host.ok(['fetch', '--full', `oci:${layout}`])).trim()

  const kept = await host.ok(['image', 'gc', '--explain', '--grace-period=0s'])

  assert.match(kept, new RegExp(`^kept image "${key}" \\(localhost/layout\\): used by running pod ${pod.uuid}$`, 'm'))
  assert.match(kept, new RegExp(`^kept treestore "oci-${key}": mounted or to be mounted by pod ${pod.uuid}$`, 'm'))
  assert.equal(kept.match(/^kept layer "sha256:[\da-f]{64}": part of localhost\/layout$/gm)?.length, 2)
  await pod.stop('--force')
  await host.ok(['rm', pod.uuid])
  await host.ok(['image', 'gc', '--explain', '--grace-period=0s'])
  assert.deepEqual(readdirSync(join(host.dataDir, 'cas/tree')), [])
  assert.deepEqual(readdirSync(join(host.dataDir, 'cas/layer')), [])
  assert.deepEqual(readdirSync(join(host.dataDir, 'cas/image')), [])
})

test('an archive that another tool saved runs', {skip}, async () => {
  await using host = await aHost()
  const layout = await anImage(host, shows)
  const file = host.path('saved.tar')
  execFileSync('skopeo', ['--insecure-policy', 'copy', '--quiet', `oci:${layout}`, `docker-archive:${file}:example.com/app:2`])

  const result = await host.rkt(['run', '--net=host', `docker-archive:${file}`])

  assert.equal(result.status, 7, result.stderr)
  assert.match(result.stdout, shown)
})
