import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, type Host, manifest} from './harness/index.ts'

const kinds = [
  ['overlay', []],
  ['copies', ['--no-overlay']],
] as const

/** `run` of a shell command with a user namespace. */
const shell = async (script: string, podOptions: readonly string[] = [], appOptions: readonly string[] = []) => [
  'run',
  '--net=none',
  '--private-users',
  ...podOptions,
  await busybox(),
  '--exec=/bin/sh',
  ...appOptions,
  '--',
  '-c',
  script,
]

/** What it prints, the console's prefix taken off. */
const inApp = async (host: Host, ...words: Parameters<typeof shell>): Promise<string> =>
  (await host.ok(await shell(...words))).replace(/^\[[^\]]*\] [\w-]+\[\d+\]: /gm, '')

/** The range that a pod's directory records. */
function rangeOf(directory: string): {readonly base: number; readonly count: number} {
  const text = readFileSync(join(directory, 'private-users-prepared'), 'utf8')
  const [, base, count] = /^(\d+):(\d+)$/.exec(text) ?? []
  return {base: Number(base), count: Number(count)}
}

/** The only pod of the host that has run. */
const lastPod = (host: Host): string => join(host.dataDir, 'pods/run', host.podsIn('run').at(-1) ?? '')

for (const [kind, options] of kinds) {
  test(`${kind}: the pod has ids of its own, and its image belongs to its root`, async () => {
    await using host = await aHost()

    const answer = await inApp(
      host,
      'cat /proc/self/uid_map /proc/self/gid_map; stat -c "%u %g %a" / /bin/busybox /dev/pts /dev/mqueue; id -u',
      options,
    )

    const {base, count} = rangeOf(lastPod(host))
    assert.equal(count, 65536)
    assert.ok(base >= 0x80000 && base <= 0x6fff0000 && base % 65536 === 0, String(base))
    assert.deepEqual(
      answer
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().split(/\s+/).join(' ')),
      [`0 ${base} 65536`, `0 ${base} 65536`, '0 0 755', '0 0 755', '0 0 755', '0 0 1777', '0'],
    )
  })

  test(`${kind}: what root and others of the pod write belongs to their ids on the host, the trees of the store to nobody else`, async () => {
    await using host = await aHost()
    const script =
      'echo root > /of-root; mkdir /tmp/d; chown 33:44 /tmp/d; echo changed >> /etc/passwd; chmod 4755 /bin/busybox; stat -c "%u %a" /bin/busybox'

    assert.equal(await inApp(host, script, options), '0 4755\n')

    const pod = lastPod(host)
    const {base} = rangeOf(pod)
    const [upper] = existsSync(join(pod, 'overlay'))
      ? execFileSync('find', [join(pod, 'overlay'), '-path', '*/upper/busybox', '-prune'], {encoding: 'utf8'})
          .trim()
          .split('\n')
      : [join(pod, 'stage1/rootfs/opt/stage2/busybox/rootfs')]
    const owner = (path: string) => [statSync(join(upper ?? '', path)).uid - base, statSync(join(upper ?? '', path)).gid - base]
    assert.deepEqual(owner('of-root'), [0, 0])
    assert.deepEqual(owner('tmp/d'), [33, 44])
    assert.deepEqual(owner('etc/passwd'), [0, 0])
    assert.deepEqual(owner('bin/busybox'), [0, 0])
    for (const tree of readdirSync(join(host.dataDir, 'cas/tree')))
      assert.equal(statSync(join(host.dataDir, 'cas/tree', tree, 'rootfs')).uid, 0)
    // Statuses are read, and export writes owners as the pod saw them.
    assert.match(await host.ok(['status', host.podsIn('run')[0] ?? '']), /^app-busybox=0$/m)
    const file = host.path('exported.aci')
    await host.ok(['export', host.podsIn('run')[0] ?? '', file])
    const listed = execFileSync('tar', ['--numeric-owner', '-tvzf', file], {encoding: 'utf8'})
    assert.match(listed, /0\/0 .*rootfs\/of-root$/m)
    assert.match(listed, /33\/44 .*rootfs\/tmp\/d\/?$/m)
    assert.match(listed, /0\/0 .*rootfs\/bin\/sh -> busybox$/m)
    await host.ok(['gc', '--grace-period=0s'])
    assert.deepEqual(host.pods(), [])
  })

  test(`${kind}: enter is root of the pod, in its namespaces, and the status of the app is the pod's`, async () => {
    await using host = await aHost()
    const [, ...words] = await shell('trap "exit 7" TERM; echo up; while :; do sleep 0.05; done', options)
    const pod = await host.pod(words)
    await pod.process.says(/up/)

    const entered = await pod.enter(
      '/bin/sh',
      '-c',
      'id -u; id -g; cat /proc/self/uid_map; echo entered > /by-enter; stat -c %u /by-enter; readlink /proc/self/ns/user; ps | grep -c rkt-pod',
    )

    const {base} = rangeOf(pod.dir)
    const [uid, gid, map, owner, space, processes] = entered.trim().split('\n')
    assert.deepEqual([uid, gid, map?.trim().split(/\s+/), owner, processes !== '0'], ['0', '0', ['0', String(base), '65536'], '0', true])
    assert.notEqual(space, execFileSync('readlink', ['/proc/self/ns/user'], {encoding: 'utf8'}).trim())
    assert.equal((await pod.stop()).status, 0)
    assert.match(await host.ok(['status', pod.uuid]), /^app-busybox=7$/m)
    await host.ok(['rm', pod.uuid])
  })
}

test('a prepared pod keeps its range until it runs, and one of a failing app ends with its status', async () => {
  await using host = await aHost()
  const [, ...words] = await shell('cat /proc/self/uid_map; exit 9')

  const uuid = (await host.ok(['prepare', ...words.filter((word) => word !== '--net=none')])).trim()
  const {base} = rangeOf(join(host.dataDir, 'pods/prepared', uuid))
  const result = await host.rkt(['run-prepared', '--net=none', uuid])

  assert.equal(result.status, 9, result.stderr)
  assert.match(result.stdout, new RegExp(`0 +${base} +65536`))
})

test('pods that start at the same time have ranges of their own, given back with their directories', async () => {
  await using host = await aHost()
  const [, ...words] = await shell('true')
  const prepare = ['prepare', ...words.filter((word) => word !== '--net=none')]
  await host.ok(prepare)

  await Promise.all(Array.from({length: 8}, () => host.ok(prepare)))

  const bases = host.podsIn('prepared').map((uuid) => rangeOf(join(host.dataDir, 'pods/prepared', uuid)).base)
  assert.equal(bases.length, 9)
  assert.equal(new Set(bases).size, 9)
  await host.ok(['rm', ...host.podsIn('prepared')])
  assert.deepEqual(host.pods(), [])
})

test('host volumes show their files to the pod with its own ids, and what it writes belongs to the same ones on the host', async () => {
  await using host = await aHost()
  mkdirSync(host.path('files'))
  writeFileSync(host.path('files/of-root'), 'root\n', {mode: 0o600})
  writeFileSync(host.path('files/of-web'), 'web\n')
  chownSync(host.path('files/of-web'), 33, 34)
  const file = host.write('one', 'a file\n')
  const options = [
    `--volume=data,kind=host,source=${host.path('files')}`,
    `--volume=file,kind=host,source=${file}`,
    '--volume=null,kind=host,source=/dev/null',
    '--volume=scratch,kind=empty,uid=5,gid=6,mode=0750',
    ...['data,target=/data', 'file,target=/etc/file', 'null,target=/data-null', 'scratch,target=/scratch'].map(
      (mount) => `--mount=volume=${mount}`,
    ),
  ]

  const answer = await inApp(
    host,
    'stat -c "%n %u %g" /data/of-* /etc/file /scratch; cat /data/of-root /etc/file; echo x > /data-null; echo new > /data/new; chown 12:13 /data/new; touch /scratch/x',
    options,
  )

  assert.equal(answer, '/data/of-root 0 0\n/data/of-web 33 34\n/etc/file 0 0\n/scratch 5 6\nroot\na file\n')
  assert.deepEqual([statSync(host.path('files/new')).uid, statSync(host.path('files/new')).gid], [12, 13])
  assert.equal(statSync(host.path('files/of-root')).uid, 0, 'nothing of the host was given away')
  const {base} = rangeOf(lastPod(host))
  const scratch = statSync(join(lastPod(host), 'sharedVolumes/scratch'))
  assert.deepEqual([scratch.uid - base, scratch.gid - base], [5, 6])
})

test('a volume whose file system cannot be id-mapped is refused with the reason, before anything starts', async () => {
  await using host = await aHost()
  for (const name of ['l', 'u', 'w', 'merged', 'above']) mkdirSync(host.path(name))
  const layers = `lowerdir=${host.path('l')},upperdir=${host.path('u')},workdir=${host.path('w')}`
  mkdirSync(host.path('above/below'))
  for (const target of [host.path('merged'), host.path('above/below')])
    execFileSync('mount', [
      '-t',
      'overlay',
      '-o',
      target.endsWith('merged') ? layers : `lowerdir=${host.path('l')}:${host.path('u')}`,
      'rkt-test',
      target,
    ])
  try {
    const run = async (source: string, more = '') =>
      await host.rkt(await shell('echo started', [`--volume=v,kind=host,source=${source}${more}`, '--mount=volume=v,target=/v']))

    const refusal = await run(host.path('merged'))
    assert.equal(refusal.status, 254)
    assert.match(
      refusal.stderr,
      /app "busybox": mount \/v: \S+\/merged cannot be shown with other ids: overlay, or one that is mounted below it, cannot be id-mapped/,
    )
    assert.doesNotMatch(refusal.stdout, /started/)
    assert.equal((await run(host.path('above'))).status, 254, 'what is mounted below it counts')
    assert.match((await run(host.path('above'), ',recursive=false')).stdout, /started/)
    assert.match((await run(host.path('above'), ',recursive=false,propagation=shared')).stderr, /volume "v": /)
  } finally {
    for (const target of ['merged', 'above/below']) execFileSync('umount', [host.path(target)])
  }
})

test('ids that the pod has not are refused by the name of app and field; the last one works', async () => {
  await using host = await aHost()

  assert.equal(await inApp(host, 'id -u; id -g', [], ['--user=65534', '--group=65535']), '65534\n65535\n')
  const refused = async (...options: string[]): Promise<string> => await host.refused(await shell('echo started', [], options))
  assert.match(await refused('--user=65536'), /app "busybox": user "65536": id 65536 is not among the 65536 of the pod's user namespace/)
  assert.match(await refused('--group=70000'), /app "busybox": group "70000": id 70000 is not among/)
  assert.match(await refused('--supplementary-gids=70000'), /app "busybox": group "70000": id 70000 is not among/)
  const volume = ['--volume=v,kind=empty,uid=70000', '--mount=volume=v,target=/v']
  assert.match(await host.refused(await shell('true', volume)), /app "busybox": volume "v": uid 70000 is not among/)
})

test('isolators, handlers and programs with capabilities are what they are elsewhere', async () => {
  await using host = await aHost()
  const image = await buildImage(
    manifest({
      app: {
        eventHandlers: [{exec: ['/bin/sh', '-c', 'id -u > /handler'], name: 'pre-start'}],
        exec: [
          '/bin/sh',
          '-c',
          'id -u; cat /handler; stat -c %u /handler /home/app; grep -E "^(CapBnd|NoNewPrivs)" /proc/self/status; cat /proc/self/oom_score_adj; mknod /tmp/n c 1 3 || echo no-mknod',
        ],
        group: 'app',
        isolators: [
          {name: 'os/linux/capabilities-retain-set', value: {set: ['CAP_NET_BIND_SERVICE', 'CAP_MKNOD']}},
          {name: 'os/linux/oom-score-adj', value: 500},
          {name: 'os/linux/no-new-privileges', value: true},
        ],
        user: '/home/app',
      },
      name: 'example.com/isolated',
    }),
    (rootfs) => {
      addBusybox(rootfs)
      mkdirSync(join(rootfs, 'home/app'), {recursive: true})
      chownSync(join(rootfs, 'home/app'), 1000, 1001)
      chmodSync(join(rootfs, 'home/app'), 0o700)
    },
  )

  for (const [, options] of kinds) {
    const stdout = await host.ok(['run', '--net=none', '--private-users', ...options, image])
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^\[[^\]]*\] [\w-]+\[\d+\]: /, '').replace(/\s+/g, ' '))
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('mknod')),
      ['1000', '0', '0', '1000', 'CapBnd: 0000000008000400', 'NoNewPrivs: 1', '500', 'no-mknod'],
    )
  }
})

test('with the network and the queues of the host a pod with a user namespace works too, and fly says that it has none', async () => {
  await using host = await aHost()

  const answer = await inApp(host, 'ls /sys/class/net; touch /sys/x 2>&1; ls -d /proc/sys/net', ['--net=host', '--ipc=parent'])
  assert.match(answer, /^lo$/m)
  assert.match(answer, /Read-only file system/)

  const words = await shell('true', ['--stage1-name=coreos.com/rkt/stage1-fly'])
  const fly = await host.rkt(words)
  assert.equal(fly.status, 2)
  assert.match(fly.stderr, /unknown option --private-users/)
})
