import assert from 'node:assert/strict'
import {execFileSync, spawn} from 'node:child_process'
import {chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {writeLayout} from '../registry/harness.ts'
import {
  addBusybox,
  aHost,
  buildImage,
  busybox,
  eventually,
  manifest,
  noTerminals,
  OrdinaryUser,
  type Result,
  Running,
  runProgram,
  Terminal,
  withoutLabels,
} from './harness/index.ts'

const shell = async (script: string, podOptions: readonly string[] = ['--net=none'], appOptions: readonly string[] = []) => [
  'run',
  ...podOptions,
  await busybox(),
  '--exec=/bin/sh',
  ...appOptions,
  '--',
  '-c',
  script,
]

const inApp = async (user: OrdinaryUser, ...words: Parameters<typeof shell>): Promise<string> =>
  withoutLabels(await user.ok(await shell(...words)))

test('an ordinary user runs a pod: its root is the user, its data lies in the home, its status is the app', async () => {
  await using user = new OrdinaryUser()

  const answer = await inApp(
    user,
    'id -u; id -g; cat /proc/self/uid_map; stat -c "%u %g" / /etc/passwd; touch /new && echo written; hostname',
  )
  const [uid, gid, own, given, root, file, written, hostname] = answer
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
  assert.deepEqual([uid, gid, own, given], ['0', '0', `0 ${user.uid} 1`, `1 ${user.base} 65536`])
  assert.deepEqual([root, file, written], ['0 0', '0 0', 'written'])
  assert.match(hostname ?? '', /^rkt-[\da-f-]{36}$/)

  const failing = await user.rkt(await shell('exit 42'))
  assert.equal(failing.status, 42)
  assert.doesNotMatch(failing.stderr, /overlay support|warning|cgroup/, 'nothing is complained of that nobody asked for')
  assert.equal(statSync(user.dataDir).uid, user.uid)
  const find = execFileSync('find', [user.dataDir, '-uid', '0'], {encoding: 'utf8'})
  assert.equal(find, '', 'nothing there belongs to root')
})

test('the other ids of the pod are those of /etc/subuid, also in the files of images', async () => {
  await using user = new OrdinaryUser()
  const image = await buildImage(manifest({app: {group: 'app', user: 'app'}, name: 'example.com/owned'}), (rootfs) => {
    addBusybox(rootfs)
    mkdirSync(join(rootfs, 'home/app'), {recursive: true})
    chownSync(join(rootfs, 'home/app'), 1000, 1001)
    chmodSync(join(rootfs, 'home/app'), 0o700)
    execFileSync('mknod', [join(rootfs, 'device'), 'c', '1', '3'])
  })
  const script = 'id -u; id -G; stat -c "%u %g" /home/app; echo x > /home/app/file; ls /device 2>&1; true'

  for (const more of [[], ['--no-overlay']]) {
    const answer = await user.ok(['run', '--net=none', ...more, image, '--', '-c', script])
    assert.match(withoutLabels(answer), /^1000\n1001\n1000 1001\nls: \/device: No such file/)
  }
  const written = execFileSync('find', [join(user.dataDir, 'pods/run'), '-name', 'file', '-path', '*home/app*', '-printf', '%U %G\n'], {
    encoding: 'utf8',
  })
  assert.deepEqual(written.trim().split('\n'), Array(2).fill(`${user.base + 999} ${user.base + 1000}`))
  await user.ok(['gc', '--grace-period=0s'])
  assert.equal(execFileSync('find', [join(user.dataDir, 'pods'), '-mindepth', '2'], {encoding: 'utf8'}), '')
})

test('without ids of /etc/subuid pods have the one of the user, and refuse apps that need others', async () => {
  await using user = new OrdinaryUser({ids: 0})

  const answer = await inApp(user, 'cat /proc/self/uid_map; id -u; touch /tmp/x; stat -c %u /tmp/x /etc/passwd')
  assert.match(answer, new RegExp(`^ *0 +${user.uid} +1\n0\n0\n0\n$`))

  const refused = await user.rkt(await shell('echo started', ['--net=none'], ['--user=1000']))
  assert.equal(refused.status, 254)
  assert.match(
    refused.stderr,
    /app "busybox": user "1000": id 1000 is not among the 1 of the pod's user namespace \(\/etc\/subuid and \/etc\/subgid give a user more\)/,
  )
  const image = await buildImage(manifest({name: 'example.com/others'}), (rootfs) => {
    addBusybox(rootfs)
    chownSync(join(rootfs, 'etc/group'), 33, 33)
  })
  assert.match(await user.ok(['run', '--net=none', image, '--', '-c', 'stat -c %u /etc/group']), /: 0$/m)
})

test('a pod of an ordinary user is entered, listed, stopped and collected by them', async () => {
  await using user = new OrdinaryUser()
  const [, ...words] = await shell('trap "exit 3" TERM; echo up; while :; do sleep 0.05; done')
  const pod = await user.pod(words)
  await pod.process.says(/up/)

  const entered = await user.ok([
    'enter',
    pod.uuid,
    '/bin/sh',
    '-c',
    'id -u; cat /proc/self/uid_map; echo e > /by-enter; stat -c %u /by-enter; ps | grep -c rkt-pod',
  ])
  assert.match(entered, new RegExp(`^0\n *0 +${user.uid} +1\n *1 +${user.base} +65536\n0\n[1-9]`))
  assert.equal((await user.rkt(['enter', pod.uuid, '/bin/sh', '-c', 'exit 9'])).status, 9)
  assert.match(await user.ok(['list', '--full']), new RegExp(`${pod.uuid}\tbusybox\t.*\trunning\t`))
  assert.match(await user.ok(['cat-manifest', pod.uuid]), /"acKind": "PodManifest"/)
  await user.ok(['stop', pod.uuid])
  assert.equal((await pod.process.exit).status, 0)
  assert.match(await user.ok(['status', pod.uuid]), /^app-busybox=3$/m)
  await user.ok(['export', pod.uuid, join(user.home, 'exported.aci')])
  assert.match(
    execFileSync('tar', ['--numeric-owner', '-tvzf', join(user.home, 'exported.aci')], {encoding: 'utf8'}),
    /0\/0 .*rootfs\/by-enter$/m,
  )
  await user.ok(['rm', pod.uuid])
  assert.doesNotMatch(await user.ok(['list']), /busybox/)
  await user.ok(['image', 'gc', '--grace-period=0s'])
  assert.doesNotMatch(await user.ok(['image', 'list']), /busybox/)
})

test('the network of an ordinary user is the default one, the one of the host or none, and others are refused with what there is', async () => {
  await using user = new OrdinaryUser()

  assert.match(await inApp(user, 'ip link | grep -c ": lo:"; ip link | wc -l', ['--net=none']), /^1\n2\n$/)
  // The device is root's alone here: see alone/rootless-networks.test.ts for more.
  const byDefault = await user.rkt(await shell('ip link | wc -l', []))
  assert.equal(withoutLabels(byDefault.stdout), '2\n')
  assert.match(byDefault.stderr, /the default network of an ordinary user needs pasta or slirp4netns, .*: the pod has a loopback only/)
  const host = await inApp(user, 'readlink /proc/self/ns/net', ['--net=host'])
  assert.equal(host, execFileSync('readlink', ['/proc/self/ns/net'], {encoding: 'utf8'}))
  const refused = await user.rkt(await shell('echo started', ['--net=default-restricted']))
  assert.equal(refused.status, 254)
  assert.match(
    refused.stderr,
    /failed to setup network: --net=default-restricted needs root; an ordinary user has --net=default, --net=host and --net=none/,
  )
})

test('fly runs for an ordinary user, with the rights that the user has', async () => {
  await using user = new OrdinaryUser()

  const result = await user.rkt(
    await shell('id -u; touch /new && stat -c %u /new; exit 4', ['--net=host', '--stage1-name=coreos.com/rkt/stage1-fly']),
  )

  assert.equal(result.status, 4, result.stderr)
  assert.equal(result.stdout, '0\n0\n')
})

test('a prepared pod of an ordinary user runs later, and options may stand before the command', async () => {
  await using user = new OrdinaryUser()
  const elsewhere = join(user.home, 'elsewhere')

  const uuid = (await user.ok(['--dir', elsewhere, 'prepare', await busybox()])).trim()
  const result = await user.rkt([`--dir=${elsewhere}`, 'run-prepared', '--net=host', uuid])

  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, /started/)
  assert.ok(existsSync(join(elsewhere, 'pods/run', uuid)))
})

test('images of registries and of Docker are whole for an ordinary user: what a layer hides, a directory made anew, owners', async () => {
  await using user = new OrdinaryUser()
  await using alone = new OrdinaryUser({ids: 0})
  await using host = await aHost()
  const rootfs = host.path('rootfs')
  addBusybox(rootfs)
  const layers = [
    {'bin/busybox': readFileSync(join(rootfs, 'bin/busybox')), 'etc/gone': 'x', 'etc/kept': 'lower', 'var/old/a': 'x'},
    {'etc/.wh.gone': '', 'etc/kept': 'upper', 'var/old/.wh..wh..opq': '', 'var/old/b': 'x'},
  ]
  const config = {Cmd: ['sh', '-c', 'busybox ls /etc /var/old; busybox cat /etc/kept'], Entrypoint: ['/bin/busybox'], Env: ['PATH=/bin']}
  const {directory} = await writeLayout(host.path('layout'), [{architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', config, layers}])
  execFileSync('chmod', ['-R', 'go+rX', host.dir])

  for (const [who, more] of [
    [user, []],
    [user, ['--no-overlay']],
    [alone, []],
  ] as const) {
    const answer = withoutLabels(await who.ok(['run', '--net=none', ...more, `oci:${directory}`]))
    assert.doesNotMatch(answer, /^gone$|^a$/m)
    assert.match(answer, /^kept$/m)
    assert.match(answer, /^b$/m)
    assert.match(answer, /upper/)
  }
  await user.ok(['image', 'verify', ...(await user.ok(['image', 'list', '--no-legend', '--fields=id', '--full'])).trim().split('\n')])
})

test('an app of an ordinary user has a terminal, and so has a command that is entered', {skip: await noTerminals()}, async () => {
  await using user = new OrdinaryUser()
  const words = user.command(['--insecure-options=image', 'run', '--net=none', '--interactive', await busybox(), '--exec=/bin/sh'])
  const {HOME = '', USER = ''} = user.options().env ?? {}

  await using terminal = await Terminal.open(words, {HOME, USER})
  terminal.type('tty; stat -c "owner %u" $(tty); stty size; exit 5\n')
  await terminal.shows(/\/dev\/pts\/0/)
  await terminal.shows(/owner 0/)
  assert.equal(await terminal.exit, 5)
})

test('root does not take the word of an environment for being an ordinary user', async () => {
  await using host = await aHost()
  await using user = new OrdinaryUser()
  mkdirSync(join(host.localConfig, 'paths.d'), {recursive: true})
  writeFileSync(join(host.localConfig, 'paths.d/own.json'), '{"rktKind":"paths","rktVersion":"v1","data":"/tmp/elsewhere"}')
  chownSync(join(host.localConfig, 'paths.d/own.json'), user.uid, user.uid)
  const forged = '1;l=;i=0;m=0;u=22;d=bbb;s=;o=n;n='

  const refusal = await host.refused(['config'], {env: {RKT_LAUNCH: forged, XDG_DATA_HOME: user.home}})

  assert.match(refusal, /refusing configuration file .*is owned by user/)
})

test('options that are for root say so to an ordinary user', async () => {
  await using user = new OrdinaryUser()

  const refused = await user.rkt(await shell('true', ['--private-users']))
  assert.equal(refused.status, 254)
  assert.match(refused.stderr, /--private-users is for root: pods of an ordinary user are in a user namespace already/)
  const limited = await user.rkt(await shell('echo runs', ['--net=none'], ['--memory=64M']))
  assert.match(limited.stdout, /runs/)
  assert.match(limited.stderr, /resource\/memory isolator set but cgroups are not delegated to this user, skipping/)
})

test('a user trusts keys for themselves, and fetches what these have signed', async () => {
  await using user = new OrdinaryUser()
  const signed = join(user.home, 'signed.aci')
  copyFileSync(await busybox(), signed)
  const gpg = (...words: string[]) =>
    execFileSync('gpg', ['--homedir', user.home, '--batch', '--quiet', ...words], {stdio: ['ignore', 'pipe', 'ignore']})
  gpg('--passphrase', '', '--quick-generate-key', 'signer@example.com', 'ed25519', 'sign', 'never')
  writeFileSync(join(user.home, 'key.asc'), gpg('--armor', '--export', 'signer@example.com'))
  gpg('--armor', '--detach-sign', signed)
  execFileSync('chown', ['-R', `${user.uid}:${user.uid}`, user.home])
  const strict = async (...words: string[]) => await runProgram(user.command(words), user.options())

  assert.match((await strict('fetch', signed)).stderr, /signature made by unknown entity/)
  const trusted = await strict('trust', '--prefix=example.com/busybox', '--skip-fingerprint-review', join(user.home, 'key.asc'))
  assert.equal(trusted.status, 0, trusted.stderr)
  const fetched = await strict('fetch', signed)
  assert.equal(fetched.status, 0, fetched.stderr)
  assert.match(fetched.stderr, /signature verified/)
  assert.ok(existsSync(join(user.home, '.config/rkt/trustedkeys/prefix.d/example.com/busybox')))
  assert.equal((await strict('run', '--net=none', 'example.com/busybox')).status, 0)
})

test('a user does with the images of the store what root does, and collects what is left', async () => {
  await using user = new OrdinaryUser()
  const path = (name: string) => join(user.home, name)
  await user.ok(['fetch', await busybox()])
  await user.ok(['run', '--net=none', 'example.com/busybox'])

  assert.match(await user.ok(['image', 'list', '--no-legend', '--fields=name']), /^example\.com\/busybox:1\.0\.0$/m)
  assert.match(await user.ok(['image', 'verify', 'example.com/busybox']), /^successfully verified checksum/)
  await user.ok(['image', 'export', 'example.com/busybox', path('copy.aci')])
  await user.ok(['image', 'extract', 'example.com/busybox', path('extracted')])
  await user.ok(['image', 'render', '--rootfs-only', 'example.com/busybox', path('rendered')])
  execFileSync('cmp', [path('extracted/rootfs/bin/busybox'), path('rendered/bin/busybox')])
  await user.ok(['image', 'build', path('extracted'), path('built.aci')])
  assert.equal(statSync(path('built.aci')).uid, user.uid)
  assert.match(await user.ok(['gc', '--grace-period=0s']), /^Garbage collecting pod "/)
  assert.match(await user.ok(['image', 'rm', 'example.com/busybox']), /^successfully removed aci/)
  const left = await user.ok(['image', 'gc', '--grace-period=0s'])
  assert.match(left, /^successfully removed aci/, 'the flavor')
  assert.equal(await user.ok(['image', 'list', '--no-legend']), '')
  assert.equal(execFileSync('find', [path('.local/share/rkt/cas/tree'), '-mindepth', '1'], {encoding: 'utf8'}), '')
})

test('a user attaches to the streams of a pod of theirs, and reads its log', async () => {
  await using user = new OrdinaryUser()
  const [, ...words] = await shell('echo up >&2; exec cat', ['--net=none'], ['--stdin=stream', '--stdout=stream'])
  const pod = await user.pod(words)

  assert.equal(await user.ok(['attach', '--mode=list', pod.uuid]), 'stdin\nstdout\n')
  const attached = new Running(user.command(['attach', '--mode=stdout', pod.uuid]), user.options())
  await using _ = attached
  await eventually(async () => {
    await user.ok(['attach', '--mode=stdin', pod.uuid], {input: 'heard\n'})
    return attached.stdout.includes('heard\n')
  }, 'the line to come back')
  assert.match((await user.rkt(['logs', pod.uuid])).stderr, /^up$/m)
  await user.ok(['stop', pod.uuid])
})

test('a pod whose apps come and go is refused to a user, before anything is made', async () => {
  await using user = new OrdinaryUser()

  const refused = await user.rkt(['app', 'sandbox'])

  assert.equal(refused.status, 254)
  assert.equal(refused.stderr, 'sandbox: a pod whose apps come and go is for root\nsandbox: Run the command as root.\n')
  assert.ok(!existsSync(join(user.dataDir, 'pods')))
})

test('a value in the next word, which hides the command before the namespace is made, is refused', async () => {
  await using user = new OrdinaryUser()

  const refused = await user.rkt(['--set-env', 'A=b', ...(await shell('true'))])

  assert.equal(refused.status, 254)
  assert.match(
    refused.stderr,
    /^run: cannot run as unprivileged user\nrun: Write options behind the command, or before it as --OPTION=VALUE\.$/m,
  )
})

test('volumes are what the user may read and write, no more', async () => {
  await using user = new OrdinaryUser()
  mkdirSync(join(user.home, 'own'))
  chownSync(join(user.home, 'own'), user.uid, user.uid)
  writeFileSync(join(user.home, 'secret'), 'of the real root', {mode: 0o600})
  const volumes = [
    `--volume=own,kind=host,source=${join(user.home, 'own')}`,
    `--volume=secret,kind=host,source=${join(user.home, 'secret')}`,
    '--volume=scratch,kind=empty,uid=7,mode=0700',
  ]
  const mounts = ['own,target=/own', 'secret,target=/secret', 'scratch,target=/scratch'].map((mount) => `--mount=volume=${mount}`)

  const answer = await inApp(user, 'echo x > /own/file; stat -c %u /own/file /scratch; cat /secret 2>&1; stat -c %u /secret', [
    '--net=none',
    ...volumes,
    ...mounts,
  ])

  assert.match(answer, /^0\n7\ncat: can't open '\/secret': Permission denied\n65534\n$/)
  assert.equal(statSync(join(user.home, 'own/file')).uid, user.uid)
})

test('users do not see the pods of each other, nor reach those of root', async () => {
  await using one = new OrdinaryUser()
  await using other = new OrdinaryUser()
  await using host = await aHost()
  const [, ...words] = await shell('echo up; sleep 1000')
  const pod = await one.pod(words)
  await host.ok(['prepare', await busybox()])

  assert.doesNotMatch(await other.ok(['list']), /busybox/)
  const globals = [`--dir=${one.dataDir}`]
  assert.notEqual((await other.rkt([...globals, 'enter', pod.uuid, '/bin/true'])).status, 0)
  assert.notEqual((await other.rkt([...globals, 'stop', pod.uuid])).status, 0)
  assert.match((await other.rkt([`--dir=${host.dataDir}`, 'list'])).stderr, /permission denied/)
  assert.notEqual((await other.rkt([`--dir=${host.dataDir}`, ...(await shell('true'))])).status, 0)
  assert.ok(!pod.process.ended)
  await one.ok(['stop', '--force', pod.uuid])
})

test('members of group rkt have the images of the system and pods of their own', async () => {
  const group = 19_999
  await using user = new OrdinaryUser({groups: [group]})
  const text = readFileSync('/etc/group', 'utf8')
  if (!/^rkt:/m.test(text)) writeFileSync('/etc/group', `${text}rkt:x:${group}:\n`)
  const own = Number(/^rkt:x:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))?.[1])
  assert.equal(own, group)

  assert.match((await user.rkt(['list'])).stderr + (await user.rkt(['image', 'list'])).stderr, /\/var\/lib\/rkt/)
  assert.match(await inApp(user, 'id -u'), /^0\n/)
  assert.ok(existsSync(join(user.dataDir, 'pods/run')))
})

/** Runs rkt as the user where a script of the real root has changed something, in a mount namespace of its own. */
async function where(user: OrdinaryUser, script: string, words: readonly string[]): Promise<Result> {
  return await runProgram(
    ['unshare', '--mount', 'sh', '-c', `${script}\nexec "$@"`, 'sh', ...user.command(['--insecure-options=image', ...words])],
    user.options(),
  )
}

test('without newuidmap a pod has one id, and the user is told what to install', async () => {
  await using user = new OrdinaryUser()
  const hide =
    'd=$(mktemp -d); mkdir $d/u $d/w; mknod $d/u/newuidmap c 0 0; mount -t overlay -o lowerdir=/usr/bin,upperdir=$d/u,workdir=$d/w rkt-test /usr/bin'

  const result = await where(user, hide, await shell('cat /proc/self/uid_map'))

  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, new RegExp(`: +0 +${user.uid} +1\n$`))
  assert.match(result.stderr, /^rkt: newuidmap and newgidmap are not installed, .*apt-get install uidmap\)$/m)
})

test('ids that the helpers refuse end the command with what to look at', async () => {
  await using user = new OrdinaryUser()
  // A copy without the set-user-id bit may write no map.
  const weaken =
    'for f in newuidmap newgidmap; do cp /usr/bin/$f /tmp/weak-$$-$f; chmod 0755 /tmp/weak-$$-$f; mount --bind /tmp/weak-$$-$f /usr/bin/$f; rm /tmp/weak-$$-$f; done'

  const result = await where(user, weaken, await shell('true'))

  assert.equal(result.status, 254)
  assert.match(result.stderr, /^rkt: newuidmap or newgidmap refused the ids .*man 5 subuid/m)
  assert.ok(!existsSync(user.dataDir))
})

test('where user namespaces are switched off, commands that need one say what to ask for, and others work', async () => {
  await using user = new OrdinaryUser({ids: 0})
  // The limit belongs to a user namespace: one of root's is limited, and nobody else.
  const script = 'read go; echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
  const limited = async (words: readonly string[]): Promise<Result> => {
    const child = spawn('unshare', ['--user', '--keep-caps', '--mount', 'sh', '-c', script, 'sh', ...user.command(words)], {
      ...user.options(),
      env: {...process.env, ...user.options().env},
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const output = {stderr: '', stdout: ''}
    child.stdout.on('data', (text) => (output.stdout += text))
    child.stderr.on('data', (text) => (output.stderr += text))
    await new Promise((resolve) => setTimeout(resolve, 300))
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 100000\n')
    child.stdin.end('go\n')
    return await new Promise((resolve) => child.on('close', (status, signal) => resolve({...output, signal, status})))
  }

  const refused = await limited(await shell('true'))
  assert.equal(refused.status, 254)
  assert.match(
    refused.stderr,
    /^rkt: cannot make a user namespace: no space left on device; pods of an ordinary user need one.*user\.max_user_namespaces=15000/,
  )
  assert.equal((await limited(['version'])).status, 0)
  assert.equal((await limited(['list'])).status, 0)
})
