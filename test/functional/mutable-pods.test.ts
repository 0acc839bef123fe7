/** Pods whose apps come and go: every operation on real pods, from many processes, in any order. */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, aSandbox, buildImage, busybox, contents, eventually, type Host, manifest} from './harness/index.ts'

const sandbox = (host: Host, ...options: string[]) => aSandbox(host, '--net=none', ...options)

/** The ID of the test's image in the store of this host. */
const stored = async (host: Host): Promise<string> => (await host.ok(['fetch', '--full', await busybox()])).trim()

const shell = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script]

const states = async (host: Host, uuid: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await host.ok(['app', 'list', '--no-legend', uuid]))
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(/\t+/)),
  )

for (const options of [[], ['--no-overlay']]) {
  test(`an app is added at once, started, stopped, started again and removed${options.map((option) => ` with ${option}`)}`, async () => {
    await using host = await aHost()
    const image = await stored(host)
    const {dir, process, uuid} = await sandbox(host, ...options)
    await host.ok(['app', 'add', uuid, image, '--name=one', ...shell('echo begun; echo $AC_APP_NAME > /name; sleep 1000')])

    assert.deepEqual(await states(host, uuid), {one: 'created'})
    await host.ok(['app', 'start', uuid, '--app=one'])
    await host.ok(['app', 'start', uuid, '--app=one'])
    await process.says(/one\[\d+\]: begun/)
    assert.deepEqual(await states(host, uuid), {one: 'running'})
    assert.equal(await host.ok(['app', 'exec', uuid, '/bin/cat', '/name']), 'one\n')
    assert.match(
      await host.ok(['app', 'status', uuid, '--app=one']),
      /^name=one\nstate=running\nimage_id=sha512-\w+\ncreated_at=.*\nstarted_at=.*\n$/,
    )
    await host.ok(['app', 'stop', uuid, '--app=one'])
    const status = JSON.parse(await host.ok(['app', 'status', uuid, '--app=one', '--format=json']))
    assert.deepEqual([status.state, status.exit_code], ['exited', 0])
    assert.ok(status.finished_at >= status.started_at && status.started_at >= status.created_at)
    assert.match(await host.refused(['app', 'stop', uuid, '--app=one']), /stop: error stopping app: app "one" is not running/)

    await host.ok(['app', 'start', uuid, '--app=one'])
    await process.says(/begun[\s\S]*begun/)
    assert.equal(await host.ok(['logs', uuid]), 'begun\nbegun\n')
    await host.ok(['app', 'rm', uuid, '--app=one'])
    assert.deepEqual(await states(host, uuid), {})
    assert.deepEqual(readdirSync(join(dir, 'appsinfo')), [])
    assert.match(await host.refused(['app', 'rm', uuid, '--app=one']), /rm: error removing app: error: nonexistent app "one"/)
    await host.ok(['app', 'add', uuid, image, '--name=one', ...shell('ls /name; sleep 1000')])
    await host.ok(['app', 'start', uuid, '--app=one'])
    await process.says(/No such file/)
    await host.ok(['stop', uuid])
    assert.equal((await process.exit).status, 0)
    assert.match(await host.ok(['app', 'stop', uuid, '--app=one']), /is already stopped/)
    assert.deepEqual(await states(host, uuid), {one: 'exited'})
  })
}

test('an app that fails ends neither the sandbox nor the others, and says with what', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {process, uuid} = await sandbox(host)
  await host.ok(['app', 'add', uuid, image, '--name=steady', ...shell('sleep 1000')])
  await host.ok(['app', 'add', uuid, image, '--name=failing', ...shell('exit 7')])
  await host.ok(['app', 'add', uuid, image, '--name=missing', '--exec=/nowhere'])
  await host.ok(['app', 'start', uuid, '--app=steady'])
  await host.ok(['app', 'start', uuid, '--app=failing'])
  assert.match(await host.refused(['app', 'start', uuid, '--app=missing']), /error starting app: .*Unable to open "\/nowhere"/)

  await eventually(async () => (await states(host, uuid)).failing === 'exited', 'the app to fail')
  assert.match(await host.ok(['app', 'status', uuid, '--app=failing']), /exit_code=7/)
  assert.equal((await states(host, uuid)).steady, 'running')
  await host.ok(['stop', uuid])
  assert.equal((await process.exit).status, 0)
})

for (const options of [[], ['--no-overlay']]) {
  test(`an app of a pod that has ended is removed${options.map((option) => ` with ${option}`)}, and the rest stays`, async () => {
    await using host = await aHost()
    const image = await stored(host)
    const {dir, process, uuid} = await sandbox(host, ...options)
    for (const name of ['one', 'two']) {
      await host.ok(['app', 'add', uuid, image, `--name=${name}`, ...shell(`echo ${name} > /name; exit 3`)])
      await host.ok(['app', 'start', uuid, `--app=${name}`])
      await eventually(async () => (await states(host, uuid))[name] === 'exited', 'the end of the app')
    }
    await host.ok(['stop', uuid])
    await process.exit

    await host.ok(['app', 'rm', uuid, '--app=one'])
    assert.match(await host.refused(['app', 'rm', uuid, '--app=one']), /error removing app: error: nonexistent app "one"/)

    assert.deepEqual(await states(host, uuid), {two: 'exited'})
    assert.match(await host.ok(['app', 'status', uuid, '--app=two']), /exit_code=3/)
    const left = contents(dir).filter((line) => /\/name$/.test(line.split(' ').at(2) ?? '') || line.includes('/one/rootfs/bin/busybox'))
    assert.equal(left.length, 1, left.join('\n'))
    assert.deepEqual(readdirSync(join(dir, 'appsinfo')), ['two'])
    await host.ok(['gc', '--mark-only'])
    await host.ok(['app', 'rm', uuid, '--app=two'])
    assert.deepEqual(await states(host, uuid), {})
    await host.ok(['gc', '--grace-period=0s'])
    assert.deepEqual(host.pods(), [])
  })
}

test('collecting images takes nothing from a pod in which the removal of an app was killed half way', async () => {
  await using host = await aHost()
  const steady = await stored(host)
  const file = await buildImage(manifest({app: {exec: ['/bin/sleep', '1000']}, name: 'example.com/leaving'}), addBusybox)
  const image = (await host.ok(['fetch', '--full', file])).trim()
  const {dir, uuid} = await sandbox(host)
  await host.ok(['app', 'add', uuid, image, '--name=leaving'])
  await host.ok(['app', 'add', uuid, steady, '--name=steady', ...shell('sleep 1000')])
  for (const name of ['leaving', 'steady']) await host.ok(['app', 'start', uuid, `--app=${name}`])

  rmSync(join(dir, 'appsinfo/leaving'), {recursive: true})
  await host.ok(['image', 'gc', '--grace-period=0s'])

  assert.equal(await host.ok(['app', 'exec', '--app=steady', uuid, '/bin/echo', 'here']), 'here\n')
  await host.ok(['app', 'rm', uuid, '--app=leaving'])
  assert.deepEqual(await states(host, uuid), {steady: 'running'})
  await host.ok(['stop', uuid])
})

test('errors: names taken twice, images and users that are not there, pods that do not change', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {dir, uuid} = await sandbox(host)
  await host.ok(['app', 'add', uuid, image, '--name=one'])
  const before = [readFileSync(join(dir, 'pod'), 'utf8'), readdirSync(join(dir, 'appsinfo'))]

  assert.match(
    await host.refused(['app', 'add', uuid, image, '--name=one']),
    /add: error adding app to pod: error: multiple apps with name one/,
  )
  assert.match(
    await host.refused(['app', 'add', uuid, image, '--name=two', '--user=nobody-there']),
    /error adding app to pod: .*nobody-there/,
  )
  assert.match(await host.refused(['app', 'add', uuid, 'sha512-0000']), /error finding images: /)
  assert.match(await host.refused(['app', 'add', uuid]), /must provide the pod UUID and an IMAGEID/)
  assert.match(await host.refused(['app', 'add', uuid, image, image]), /must give only one app/)
  assert.match(await host.refused(['app', 'add', uuid, '--name=two', image]), /--name must follow an image/)
  assert.match(await host.refused(['app', 'start', uuid, '--app=two']), /error starting app: error: nonexistent app "two"/)
  assert.match(await host.refused(['app', 'start', uuid]), /must provide the app to start/)
  assert.equal((await host.rkt(['app', 'status', uuid, '--app=two'])).status, 1)
  assert.deepEqual([readFileSync(join(dir, 'pod'), 'utf8'), readdirSync(join(dir, 'appsinfo'))], before)

  const fixed = await host.pod(['--net=none', await busybox(), ...shell('sleep 1000')])
  assert.match(await host.refused(['app', 'add', fixed.uuid, image, '--name=more']), /error adding app to pod: immutable pod/)
  assert.match(await host.refused(['app', 'stop', fixed.uuid, '--app=busybox']), /error stopping app: immutable pod/)
  await fixed.stop()
  await host.ok(['stop', uuid])
})

for (const options of [[], ['--no-overlay']]) {
  test(`an image that is damaged is not added while the pod runs${options.map((option) => `, with ${option}`)}, and once it is whole it is`, async () => {
    await using host = await aHost()
    const steady = await stored(host)
    const file = await buildImage(manifest({app: {exec: ['/bin/sleep', '1000']}, name: 'example.com/damaged'}), addBusybox)
    const image = (await host.ok(['fetch', '--full', file])).trim()
    const {dir, uuid} = await sandbox(host, ...options)
    await host.ok(['app', 'add', uuid, steady, '--name=steady', ...shell('sleep 1000')])
    await host.ok(['app', 'start', uuid, '--app=steady'])
    const pid = readFileSync(join(dir, 'pid'), 'latin1').trim()
    const ofPod = () => [
      readFileSync(join(dir, 'pod'), 'utf8'),
      readFileSync(`/proc/${pid}/mountinfo`, 'utf8'),
      readdirSync(`/proc/${pid}/root/opt/stage2`),
      ...['.', 'appsinfo', 'overlay', 'stage1/rootfs/rkt/status'].map(
        (name) => existsSync(join(dir, name)) && readdirSync(join(dir, name)),
      ),
    ]
    const before = ofPod()
    const refused = async (reason: RegExp) => {
      assert.match(await host.refused(['app', 'add', uuid, image, '--name=damaged']), reason)
      assert.deepEqual(ofPod(), before)
      assert.equal(await host.ok(['app', 'exec', uuid, '/bin/echo', 'undisturbed']), 'undisturbed\n')
    }

    const trees = join(host.dataDir, 'cas/tree')
    const tree = join(trees, readdirSync(trees).find((id) => readFileSync(join(trees, id, 'image'), 'utf8').includes(image)) ?? '')
    // As the image's garbage collection leaves it: what was rendered is rendered anew when it is wanted.
    rmSync(tree, {recursive: true})
    const blob = join(host.dataDir, 'cas/blob/sha512', image.slice(7, 9), image)
    const bytes = readFileSync(blob)
    writeFileSync(blob, Buffer.from(bytes).fill('x', bytes.length >> 1, (bytes.length >> 1) + 1))
    await refused(/add: error adding app to pod: image hash does not match expected/)
    writeFileSync(blob, bytes.subarray(0, bytes.length >> 1))
    await refused(/add: error adding app to pod: (image hash does not match expected|the archive is truncated)/)
    rmSync(blob)
    await refused(/add: error adding app to pod: (cannot open the image|open) \S+: no such file or directory/)
    writeFileSync(blob, bytes)
    await host.ok(['app', 'add', uuid, image, '--name=damaged'])
    await host.ok(['app', 'start', uuid, '--app=damaged'])
    await host.ok(['app', 'rm', uuid, '--app=damaged'])

    if (options.length === 0) {
      const whole = readFileSync(join(tree, 'manifest'))
      writeFileSync(join(tree, 'manifest'), '{')
      await refused(/add: error adding app to pod: the manifest of \S+ is not JSON/)
      writeFileSync(join(tree, 'manifest'), whole)
      rmSync(join(tree, 'rootfs'), {recursive: true})
      await refused(/add: error adding app to pod: lstat \S+\/rootfs: no such file or directory/)
    }
    await host.ok(['stop', uuid])
  })
}

test('an app is added with volumes of its own, of the host and empty, read-only and not', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {uuid} = await sandbox(host)
  const source = host.path('source')
  mkdirSync(join(source, 'below'), {recursive: true})
  writeFileSync(join(source, 'word'), 'of the host')
  const volumes = [
    `--mnt-volume=name=writable,kind=host,source=${source},target=/writable`,
    `--mnt-volume=target=/deep/fixed/,name=fixed,kind=host,source=${source},readOnly=true`,
    '--mnt-volume=name=scratch,kind=empty,mode=0770,uid=3,gid=4,target=/scratch',
  ]
  await host.ok(['app', 'add', uuid, image, '--name=with', ...volumes, ...shell('sleep 1000')])
  await host.ok(['app', 'add', uuid, image, '--name=without', ...shell('sleep 1000')])
  for (const name of ['with', 'without']) await host.ok(['app', 'start', uuid, `--app=${name}`])
  const inside = (app: string, script: string) => host.ok(['app', 'exec', `--app=${app}`, uuid, '/bin/sh', '-c', script])

  assert.equal(await inside('with', 'cat /writable/word; echo of the app > /writable/answer'), 'of the host')
  assert.equal(readFileSync(join(source, 'answer'), 'utf8'), 'of the app\n')
  assert.equal(await inside('with', 'cat /deep/fixed/answer; touch /deep/fixed/x 2>/dev/null || echo refused'), 'of the app\nrefused\n')
  assert.equal(await inside('with', 'touch /scratch/kept; stat -c "%a %u %g" /scratch'), '770 3 4\n')
  assert.equal(await inside('without', 'ls -d /writable /deep /scratch 2>/dev/null || echo none'), 'none\n')
  await host.ok(['app', 'stop', uuid, '--app=with'])
  await host.ok(['app', 'start', uuid, '--app=with'])
  assert.equal(await inside('with', 'ls /scratch; cat /writable/word'), 'kept\nof the host')
  const {mounts} = JSON.parse(await host.ok(['app', 'status', uuid, '--app=with', '--format=json']))
  assert.deepEqual(
    mounts.map((mount: Record<string, unknown>) => [mount.name, mount.container_path, mount.host_path, mount.read_only]),
    [
      ['writable', '/writable', source, false],
      ['fixed', '/deep/fixed', source, true],
      ['scratch', '/scratch', '', false],
    ],
  )

  await host.ok(['app', 'rm', uuid, '--app=with'])
  assert.equal(readFileSync(join(source, 'word'), 'utf8'), 'of the host')
  await host.ok(['stop', uuid])
})

test('an app that cannot be started is what it was, and one that runs keeps the time of its start', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {uuid} = await sandbox(host)
  const source = host.path('source')
  const status = async () => {
    const {
      finished_at: finished,
      started_at: started,
      state,
    } = JSON.parse(await host.ok(['app', 'status', uuid, '--app=one', '--format=json']))
    return {finished, started, state}
  }
  const start = ['app', 'start', uuid, '--app=one']
  mkdirSync(source)
  await host.ok([
    ...['app', 'add', uuid, image, '--name=one', `--mnt-volume=name=v,kind=host,source=${source},target=/v`],
    ...shell('sleep 1000'),
  ])
  rmSync(source, {recursive: true})

  assert.match(await host.refused(start), /error starting app: .*source: no such file or directory/)
  assert.deepEqual(await status(), {finished: undefined, started: undefined, state: 'created'})
  mkdirSync(source)
  await host.ok(start)
  const running = await status()
  assert.equal(running.state, 'running')
  await host.ok(start)
  assert.deepEqual(await status(), running)
  await host.ok(['app', 'stop', uuid, '--app=one'])
  rmSync(source, {recursive: true})
  const ended = await status()
  assert.deepEqual([ended.state, ended.started], ['exited', running.started])
  await host.refused(start)
  await host.refused(start)
  assert.deepEqual(await status(), ended)
  await host.ok(['stop', uuid])
})

test('a volume that an app brings is mounted in further places by its name', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {uuid} = await sandbox(host)
  const source = host.path('source')
  mkdirSync(source)
  const add = (name: string, ...options: string[]) => ['app', 'add', ...options, uuid, image, `--name=${name}`]
  const scratch = '--mnt-volume=name=scratch,kind=empty,target=/one'
  const fixed = `--mnt-volume=name=fixed,kind=host,source=${source},target=/fixed,readOnly=true`

  await host.ok([
    ...add('app', '--mount=volume=scratch,target=/three'),
    ...[scratch, '--mount=volume=scratch,target=/two', fixed, '--mount=volume=fixed,target=/also'],
    ...shell('sleep 1000'),
  ])
  await host.ok(['app', 'start', uuid, '--app=app'])

  const inside = (script: string) => host.ok(['app', 'exec', uuid, '/bin/sh', '-c', script])
  assert.equal(await inside('echo word > /one/file; cat /two/file /three/file'), 'word\nword\n')
  assert.equal(await inside('touch /also/x 2>/dev/null || echo refused'), 'refused\n')
  assert.match(
    await host.refused([...add('other'), scratch, '--mount=volume=fixed,target=/two']),
    /dangling mount point "\/two": volume "fixed" not found/,
  )
  assert.match(
    await host.refused([...add('other'), scratch, '--mnt-volume=name=scratch,kind=empty,mode=0700,target=/two']),
    /duplicate volume name "scratch"/,
  )
  await host.ok(['stop', uuid])
})

test('a volume that cannot be is refused, and leaves no app', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {dir, uuid} = await sandbox(host)
  const refused = (volume: string) => host.refused(['app', 'add', uuid, image, '--name=one', `--mnt-volume=${volume}`])

  assert.match(await refused('name=v,kind=host,source=/tmp'), /missing target= parameter/)
  assert.match(await refused('kind=empty,target=/v'), /name must be set/)
  assert.match(await refused('name=v,kind=host,source=tmp,target=/v'), /source for host volume must be absolute path/)
  assert.match(await refused('name=v,kind=host,source=/not/there,target=/v'), /error adding app to pod: .*\/not\/there/)
  assert.match(
    await refused('name=v,kind=empty,target=/bin/sh'),
    /error adding app to pod: .*source is a directory while the target is not/,
  )
  const before = await host.refused(['app', 'add', uuid, '--mnt-volume=name=v,kind=empty,target=/v', image])
  assert.match(before, /an image is required before any MountVolumes/)
  assert.match(await host.refused(['app', 'add', '--mnt-volume=name=v,kind=empty,target=/v', uuid, image]), /an image is required/)
  assert.deepEqual(await states(host, uuid), {})
  assert.deepEqual(readdirSync(join(dir, 'appsinfo')), [])
  await host.ok(['stop', uuid])
})

test('a sandbox has the names, annotations and labels that it was given, and its apps see them', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {uuid} = await sandbox(
    host,
    ...['--hostname=box', '--hosts-entry=10.0.0.9=db', '--dns=192.0.2.1', '--dns-search=in.example', '--dns-opt=ndots:3'],
    ...['--dns-domain=example', '--annotation=example.com/colour=blue', '--user-annotation=team=a=b', '--user-label=tier=one'],
    '--no-overlay',
  )
  await host.ok(['app', 'add', uuid, image, '--name=one', '--user-label=of=app', ...shell('sleep 1000')])
  await host.ok(['app', 'start', uuid, '--app=one'])
  const inside = (...words: string[]) => host.ok(['app', 'exec', uuid, ...words])

  assert.equal(await inside('/bin/hostname'), 'box\n')
  assert.match(await inside('/bin/cat', '/etc/hosts'), /^10\.0\.0\.9 db$/m)
  assert.match(await inside('/bin/cat', '/etc/resolv.conf'), /search in\.example\nnameserver 192\.0\.2\.1\noptions ndots:3\ndomain example/)
  const manifest = JSON.parse(await host.ok(['cat-manifest', uuid]))
  assert.deepEqual(manifest.annotations[0], {name: 'example.com/colour', value: 'blue'})
  assert.deepEqual([manifest.userAnnotations, manifest.userLabels], [{team: 'a=b'}, {tier: 'one'}])
  const [pod] = JSON.parse(await host.ok(['list', '--format=json']))
  assert.deepEqual([pod.user_annotations, pod.user_labels, pod.apps[0].user_labels], [{team: 'a=b'}, {tier: 'one'}, {of: 'app'}])
  await host.ok(['stop', uuid])

  for (const [option, reason] of [
    ['--annotation=x', /invalid format of --annotation flag "x"/],
    ['--port=http:sctp:80:127.0.0.1:8080', /invalid protocol "sctp"/],
    ['--port=http:tcp:80:nowhere:8080', /could not parse IP "nowhere"/],
    ['--port=80:80', /--port invalid format/],
    ['--port=http:tcp:80:127.0.0.1:8080', /error creating the sandbox: --port flag does not work with 'none' networking/],
  ] as const)
    assert.match((await host.rkt(['app', 'sandbox', '--net=none', option])).stderr, reason)
  const twice = await host.rkt(['app', 'sandbox', '--user-label=a=1', '--user-label=a=2'])
  assert.match(twice.stderr, /key "a" already set/)
})

test('streams of an app that is added are attached to, and it is restarted with new ones', async () => {
  await using host = await aHost()
  const image = await stored(host)
  const {uuid} = await sandbox(host)
  await host.ok(['app', 'add', uuid, image, '--name=talker', '--stdin=stream', '--stdout=stream', ...shell('read l; echo "got $l"')])
  for (const word of ['first', 'second']) {
    await host.ok(['app', 'start', uuid, '--app=talker'])
    assert.equal(await host.ok(['attach', '--app=talker', uuid], {input: `${word}\n`}), `got ${word}\n`)
    await eventually(async () => (await states(host, uuid)).talker === 'exited', 'the end of the app')
  }
  assert.match(await host.refused(['attach', '--app=talker', uuid]), /has no streams to attach to/)
  await host.ok(['stop', uuid])
})

const [apps, workers, milliseconds] = process.env.RKT_TEST_LONG ? [100, 8, 120_000] : [8, 4, 12_000]

test(`${apps} apps come and go in random order by ${workers} processes, and the pod ends consistent`, async (t) => {
  await using host = await aHost()
  const image = await stored(host)
  const {dir, process, uuid} = await sandbox(host)
  const until = performance.now() + milliseconds
  let done = 0
  const verbs = ['add', 'start', 'stop', 'rm'] as const
  const expected = /multiple apps with name|nonexistent app|is not running/

  async function work(): Promise<void> {
    while (performance.now() < until) {
      const name = `app-${Math.floor(Math.random() * apps)}`
      const verb = verbs[Math.floor(Math.random() * verbs.length)] ?? 'add'
      const words = verb === 'add' ? [uuid, image, `--name=${name}`, ...shell('sleep 1000')] : [uuid, `--app=${name}`]
      const {status, stderr} = await host.rkt(['app', verb, ...words], {timeoutMs: 100_000})
      assert.ok(status === 0 || expected.test(stderr), `${verb} ${name}: ${status} ${stderr}`)
      done += 1
    }
  }
  await Promise.all(Array.from({length: workers}, work))

  const names = Object.keys(await states(host, uuid)).sort()
  t.diagnostic(`${done} operations, ${names.length} apps left`)
  assert.deepEqual(readdirSync(join(dir, 'appsinfo')).sort(), names)
  const pid = readFileSync(join(dir, 'pid'), 'latin1').trim()
  const inside = readdirSync(`/proc/${pid}/root/opt/stage2`).sort()
  assert.deepEqual(inside, names)
  const mounted = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').match(/ \/opt\/stage2\/[\w-]+\/rootfs /g) ?? []
  assert.equal(mounted.length, names.length)
  for (const name of names) {
    await host.rkt(['app', 'stop', uuid, `--app=${name}`])
    await host.ok(['app', 'start', uuid, `--app=${name}`])
    assert.equal(await host.ok(['app', 'exec', `--app=${name}`, uuid, '/bin/echo', name]), `${name}\n`)
    await host.ok(['app', 'rm', uuid, `--app=${name}`])
  }
  assert.deepEqual(await states(host, uuid), {})
  await host.ok(['stop', uuid])
  assert.equal((await process.exit).status, 0)
  await host.ok(['gc', '--grace-period=0s'])
  assert.deepEqual(host.pods(), [])
})

test('the supervisor of ten apps takes less than 2 MB', async (t) => {
  await using host = await aHost()
  const image = await stored(host)
  const {dir, uuid} = await sandbox(host)
  for (let number = 0; number < 10; number++) {
    await host.ok(['app', 'add', uuid, image, `--name=app-${number}`, ...shell('sleep 1000')])
    await host.ok(['app', 'start', uuid, `--app=app-${number}`])
  }

  const pid = readFileSync(join(dir, 'pid'), 'latin1').trim()
  const pss = Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1])

  t.diagnostic(`PSS of pid 1: ${pss} kB`)
  assert.ok(pss < 2048, `${pss} kB`)
  await host.ok(['stop', uuid])
})
