/** Isolators of apps and pods in real pods: privileges, limits, devices, parameters of the kernel, hidden paths. */
import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {
  aHost,
  buildImage,
  busybox,
  eventually,
  type Host,
  inApp,
  manifest,
  type RunningPod,
  rktProgram,
  runProgram,
  withoutLabels,
} from './harness/index.ts'

/** A file of a pod's cgroup, as the host sees it; `app` names an app's own. */
function cgroupValue(pod: RunningPod, file: string, app?: string): string | undefined {
  const directories = readFileSync(join(pod.dir, 'cgroups'), 'utf8').trim().split('\n')
  const below = app === undefined ? '' : `system.slice/${app}.service`
  const path = directories.map((directory) => join(directory, below, file)).find((candidate) => existsSync(candidate))
  return path === undefined ? undefined : readFileSync(path, 'utf8').trim()
}

/** Where the host has nothing but cgroup version 2. */
const unified = existsSync('/sys/fs/cgroup/cgroup.controllers')
const controllers = unified ? readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').trim().split(' ') : []
const hasController = (name: string) => controllers.includes(name) || existsSync(`/sys/fs/cgroup/${name}`)

const hasBlockDevices = readdirSync('/sys/block').some((name) => readFileSync(`/sys/block/${name}/size`, 'utf8').trim() !== '0')

/** A pod manifest of one busybox app with these isolators, as a file. */
async function podManifest(host: Host, isolators: {pod?: unknown[]; app?: unknown[]}, script: string): Promise<string> {
  const id = (await host.ok(['fetch', await busybox()])).trim()
  const app = {exec: ['/bin/sh', '-c', script], group: '0', isolators: isolators.app ?? [], user: '0'}
  const pod = {acKind: 'PodManifest', acVersion: '0.8.11', apps: [{app, image: {id}, name: 'app'}], isolators: isolators.pod ?? []}
  return host.write('pod.json', JSON.stringify(pod))
}

const capabilitiesIn = async (host: Host, options: string[]) =>
  Object.fromEntries(
    (await inApp(host, 'grep ^Cap /proc/self/status', [], options))
      .trim()
      .split('\n')
      .map((line) => line.split(':\t')),
  )

test('capabilities: the default set, what is retained, what is removed, and none for who is not root', async () => {
  await using host = await aHost()
  const none = '0000000000000000'

  const byDefault = await capabilitiesIn(host, [])
  assert.deepEqual(byDefault, {
    CapAmb: none,
    CapBnd: '00000000a80425fb',
    CapEff: '00000000a80425fb',
    CapInh: none,
    CapPrm: '00000000a80425fb',
  })
  const retained = await capabilitiesIn(host, ['--caps-retain=CAP_NET_ADMIN,CAP_KILL'])
  assert.deepEqual(retained, {
    CapAmb: none,
    CapBnd: '0000000000001020',
    CapEff: '0000000000001020',
    CapInh: none,
    CapPrm: '0000000000001020',
  })
  assert.equal((await capabilitiesIn(host, ['--caps-remove=CAP_MKNOD'])).CapBnd, '00000000a00425fb')
  const user = await capabilitiesIn(host, ['--user=1000'])
  assert.deepEqual(user, {CapAmb: none, CapBnd: '00000000a80425fb', CapEff: none, CapInh: none, CapPrm: none})
})

test('memory, processor and block devices are limited for an app, in its own cgroup', {skip: !hasController('memory')}, async () => {
  await using host = await aHost()
  const isolators = [
    {name: 'resource/block-bandwidth', value: {default: true, limit: '1M'}},
    {name: 'resource/block-iops', value: {default: true, limit: '200'}},
  ]
  const app = {exec: ['/bin/sleep', '1000'], isolators}
  const image = await buildImage(manifest({app, dependencies: [{imageName: 'example.com/busybox'}], name: 'example.com/limited'}), () => {})
  await host.ok(['fetch', await busybox()])

  const pod = await host.pod(['--net=none', image, '--name=app', '--memory=64M', '--cpu=500m'])

  if (unified) {
    // Whole pages.
    assert.equal(cgroupValue(pod, 'memory.max', 'app'), '64000000')
    assert.equal(cgroupValue(pod, 'memory.low', 'app'), '64000000')
    assert.equal(cgroupValue(pod, 'memory.low'), '64000000', 'kept for the pod, or the app would not have it')
    assert.equal(cgroupValue(pod, 'cpu.max', 'app'), '50000 100000')
    assert.equal(cgroupValue(pod, 'cpu.weight', 'app'), '20')
    if (hasBlockDevices) assert.match(cgroupValue(pod, 'io.max', 'app') ?? '', /^\d+:\d+ rbps=1000000 wbps=1000000 riops=200 wiops=200$/m)
    return
  }
  assert.equal(cgroupValue(pod, 'memory.limit_in_bytes', 'app'), '64000000')
  assert.equal(cgroupValue(pod, 'cpu.cfs_quota_us', 'app'), '50000')
  assert.equal(cgroupValue(pod, 'cpu.shares', 'app'), '512')
  for (const direction of hasBlockDevices ? ['read', 'write'] : []) {
    assert.match(cgroupValue(pod, `blkio.throttle.${direction}_bps_device`, 'app') ?? '', /^\d+:\d+ 1000000$/m)
    assert.match(cgroupValue(pod, `blkio.throttle.${direction}_iops_device`, 'app') ?? '', /^\d+:\d+ 200$/m)
  }
})

test('an app that needs more memory than its pod may have is killed', {skip: !hasController('memory')}, async () => {
  await using host = await aHost()
  const pod = [{name: 'resource/memory', value: {limit: '32M'}}]
  // Once for its own limit, which is larger than the pod's, and once without one.
  for (const app of [[{name: 'resource/memory', value: {limit: '1G'}}], []]) {
    const file = await podManifest(host, {app, pod}, 'x=0123456789abcdef; while true; do x=$x$x; done')
    const {status} = await host.rkt(['run', '--net=none', `--pod-manifest=${file}`])
    assert.equal(status, 137)
  }
})

test('the isolators of a pod bound those of its apps', {skip: !hasController('cpu')}, async () => {
  await using host = await aHost()
  const bounds = [{name: 'resource/cpu', value: {limit: '1'}}]
  const own = [{name: 'resource/cpu', value: {limit: '3'}}]

  const pod = await host.pod(['--net=none', `--pod-manifest=${await podManifest(host, {app: own, pod: bounds}, 'sleep 1000')}`])

  const [file, value] = unified ? ['cpu.max', '100000 100000'] : ['cpu.cfs_quota_us', '100000']
  assert.equal(cgroupValue(pod, file), value)
  assert.equal(cgroupValue(pod, file, 'app'), value)
})

test("a pod sets parameters of its own namespaces, and none of the host's", async () => {
  await using host = await aHost()
  const before = readFileSync('/proc/sys/kernel/msgmax', 'utf8')
  const run = async (value: Record<string, string>, ...options: string[]) => {
    const isolators = [{name: 'os/unix/sysctl', value}]
    const file = await podManifest(host, {pod: isolators}, 'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax')
    return await host.rkt(['run', '--net=none', ...options, `--pod-manifest=${file}`])
  }

  const set = await run({'kernel.msgmax': '4000', 'net.core.somaxconn': '77'})
  assert.equal(withoutLabels(set.stdout), '77\n4000\n', set.stderr)
  assert.equal(readFileSync('/proc/sys/kernel/msgmax', 'utf8'), before)
  for (const [parameters, options, why] of [
    [{'kernel.panic': '1'}, [], /pod: isolator os\/unix\/sysctl: "kernel.panic" is not of the pod's own namespaces/],
    [{'net.core.somaxconn': '1'}, ['--net=host'], /"net.core.somaxconn" is the host's, whose network the pod uses/],
    [{'kernel.msgmax': '1'}, ['--ipc=parent'], /"kernel.msgmax" is the host's, whose IPC the pod uses/],
    [{'net.core.somaxconn': 'many'}, [], /set net\/core\/somaxconn to "many": invalid argument/],
  ] as const) {
    const refused = await run(parameters, ...options)
    assert.equal(refused.status, 254)
    assert.match(refused.stderr, why)
  }
})

const DEVICES = `
  for node in "1 3" "10 237" "5 2" "1 1"; do mknod /dev/made c $node 2>/dev/null && echo "$node made" || echo "$node refused"; rm -f /dev/made; done
  echo x > /dev/null && echo opened
  (: < /volume) 2>/dev/null && echo "volume read"
  (: > /volume) 2>/dev/null && echo "volume written" || echo "volume not written"`

const POLICY = '1 3 made\n10 237 refused\n5 2 refused\n1 1 refused\nopened\nvolume read\nvolume not written\n'

function deviceWords(image: string): string[] {
  const volume = ['--volume=control,kind=host,source=/dev/loop-control,readOnly=true', '--mount=volume=control,target=/volume']
  return ['run', '--net=none', ...volume, image, '--exec=/bin/sh', '--', '-c', DEVICES]
}

test('an app makes and opens the devices of its policy, and of its volumes as far as they say', async () => {
  await using host = await aHost()

  assert.equal(withoutLabels(await host.ok(deviceWords(await busybox()))), POLICY)
  const globals = [...host.globals.slice(0, -1), '--insecure-options=image,paths']
  assert.match(withoutLabels(await host.ok(deviceWords(await busybox()), {globals})), /^1 3 made\n10 237 made\n5 2 made\n1 1 made\n/)
})

test('where there is no controller for devices a program of BPF is the policy', {skip: !existsSync('/sys/fs/cgroup/unified')}, async () => {
  await using host = await aHost()
  const words = [rktProgram, ...host.globals, ...deviceWords(await busybox())]

  const result = await runProgram(['unshare', '--mount', 'sh', '-c', 'umount /sys/fs/cgroup/devices && exec "$@"', 'sh', ...words])

  assert.equal(withoutLabels(result.stdout), POLICY, result.stderr)
})

test('what tells of the host is hidden or read-only, and the option paths shows it', async () => {
  await using host = await aHost()
  const script = `
    for path in /sys/firmware /sys/fs /sys/module /sys/power /proc/kcore /proc/kallsyms /proc/config.gz /proc/keys /proc/timer_list; do
      [ ! -e $path ] || stat -c "%A" $path
    done | sort -u
    for path in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /proc/sys/kernel/hostname; do
      (echo x > $path) 2>/dev/null && echo "wrote $path"
    done
    (echo x > /proc/sys/kernel/core_pattern) 2>&1 | grep -o "[Rr]ead-only file system"
    stat -c "%A" /sys/class`

  assert.equal(await inApp(host, script), '----------\nd---------\nRead-only file system\ndrwxr-xr-x\n')
  const globals = [...host.globals.slice(0, -1), '--insecure-options=image,paths']
  const words = [
    'run',
    '--net=none',
    await busybox(),
    '--exec=/bin/sh',
    '--',
    '-c',
    'stat -c %A /sys/fs; n=$(cat /proc/sys/vm/swappiness) && echo $n > /proc/sys/vm/swappiness',
  ]
  assert.equal(withoutLabels(await host.ok(words, {globals})), 'drwxr-xr-x\n')
})

test('each pod has a boot id of its own', async () => {
  await using host = await aHost()
  const bootId = async () => (await inApp(host, 'cat /proc/sys/kernel/random/boot_id')).trim()

  const ids = [readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(), await bootId(), await bootId()]

  assert.equal(new Set(ids).size, 3)
  for (const id of ids) assert.match(id, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/)
})

test('isolators that nobody knows are named once, and those that stand at the wrong place too', async () => {
  await using host = await aHost()
  const isolators = {
    app: [
      {name: 'example.com/speed', value: 1},
      {name: 'os/unix/sysctl', value: {'net.core.somaxconn': '1'}},
    ],
    pod: [{name: 'os/linux/no-new-privileges', value: true}],
  }
  const file = await podManifest(host, isolators, 'grep ^NoNewPrivs /proc/self/status')

  const {stderr, stdout} = await host.rkt(['run', '--net=none', `--pod-manifest=${file}`])

  assert.equal(withoutLabels(stdout), 'NoNewPrivs:\t0\n')
  assert.deepEqual(
    stderr.split('\n').filter((line) => line.includes('isolator')),
    [
      'run: warning: unknown isolator "example.com/speed" is ignored',
      'stage1: warning: isolator "os/linux/no-new-privileges" of the pod has no effect',
      'stage1: warning: app "app": isolator "os/unix/sysctl" has no effect',
    ],
  )
})

const apparmor = existsSync('/sys/module/apparmor/parameters/enabled') ? false : 'the kernel has no AppArmor'

test('an AppArmor profile is taken on, and one that is not loaded is refused', {skip: apparmor}, async () => {
  await using host = await aHost()
  const run = async (profile: string) => {
    const isolators = [{name: 'os/linux/apparmor-profile', value: {profile}}]
    const file = await podManifest(host, {app: isolators}, 'cat /proc/self/attr/current')
    return await host.rkt(['run', '--net=none', `--pod-manifest=${file}`])
  }

  assert.match(withoutLabels((await run('unconfined')).stdout), /^unconfined/)
  const refused = await run('no-such-profile')
  assert.equal(refused.status, 254)
  assert.match(refused.stderr, /no-such-profile/)
})

const noParser = spawnSync('apparmor_parser', ['--version']).status === 0 ? false : 'apparmor_parser is not installed'

test('an AppArmor profile that is loaded confines an app, and what is entered there', {skip: apparmor || noParser}, async () => {
  await using host = await aHost()
  const profile = host.write('profile', 'profile rkt-test { file, deny /tmp/secret r, capability, network, signal, unix, }')
  execFileSync('apparmor_parser', ['--replace', '--skip-cache', profile])
  using _ = {[Symbol.dispose]: () => execFileSync('apparmor_parser', ['--remove', profile])}
  const isolators = [{name: 'os/linux/apparmor-profile', value: {profile: 'rkt-test'}}]
  const read = 'cat /proc/self/attr/current; cat /tmp/secret'
  const file = await podManifest(host, {app: isolators}, `echo x > /tmp/secret; (${read}) 2>&1; sleep 1000`)

  const pod = await host.pod(['--net=none', `--pod-manifest=${file}`])

  const denied = /^rkt-test \(enforce\)\ncat: can't open '\/tmp\/secret': Permission denied\n$/
  await eventually(
    () => denied.test(withoutLabels(pod.process.stdout)),
    () => pod.process.stdout,
  )
  assert.match(await pod.enter('/bin/sh', '-c', `(${read}) 2>&1; true`), denied)
})

test('what cannot be meant is refused before anything has started, with the app and the isolator', async () => {
  await using host = await aHost()
  const refused = async (...isolators: unknown[]) => {
    const file = await podManifest(host, {app: isolators}, 'echo started')
    const {status, stderr, stdout} = await host.rkt(['run', '--net=none', `--pod-manifest=${file}`])
    assert.equal(status, 254, stderr)
    assert.equal(stdout, '')
    return stderr
  }
  const caps = (mode: string, name: string) => ({name: `os/linux/capabilities-${mode}-set`, value: {set: [name]}})

  assert.match(
    await refused(caps('retain', 'CAP_BOGUS')),
    /^stage1: app "app": isolator os\/linux\/capabilities-retain-set: Failed to parse capability CAP_BOGUS\.$/m,
  )
  assert.match(
    await refused(caps('retain', 'CAP_KILL'), caps('remove', 'CAP_KILL')),
    /^stage1: app "app": cannot have both os\/linux\/capabilities-retain-set and os\/linux\/capabilities-remove-set$/m,
  )
  assert.match(
    await refused({name: 'resource/memory', value: {limit: '-1'}}),
    /app "app": isolator resource\/memory: limit "-1" is not above zero/,
  )
  assert.match(
    await refused({name: 'resource/memory', value: {limit: '1K'}}),
    /apps\[0\]\.app\.isolators\[0\]\.value\.limit: "1K" is not a quantity/,
  )
  assert.match(
    await refused({name: 'resource/block-iops', value: {limit: '1k'}}),
    /apps\[0\]\.app\.isolators\[0\]\.value\.default: must be true/,
  )
})
