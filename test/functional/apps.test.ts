import assert from 'node:assert/strict'
import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, inApp, manifest} from './harness/index.ts'

test('an app has namespaces of its own, its root, and pid 1 of ours above it', async () => {
  await using host = await aHost()
  writeFileSync('/tmp/on-the-host', '')

  const answer = await inApp(
    host,
    'ls /tmp/on-the-host 2>&1; for n in pid mnt ipc uts net; do readlink /proc/self/ns/$n; done; hostname; cat /etc/hostname; ls /; ps | wc -l',
  )

  const lines = answer.trimEnd().split('\n')
  assert.match(lines[0] ?? '', /No such file/)
  for (const [at, name] of ['pid', 'mnt', 'ipc', 'uts'].entries()) {
    assert.notEqual(lines[at + 1], (await import('node:fs')).readlinkSync(`/proc/self/ns/${name}`), name)
  }
  assert.match(lines[6] ?? '', /^rkt-[\da-f-]{36}$/)
  assert.equal(lines[7], lines[6], '/etc/hostname says the same')
  assert.notEqual(lines[6], hostname())
})

test("the environment of an app is its own, the pod's name for it, and the defaults", async () => {
  await using host = await aHost()

  const answer = await inApp(host, 'env | sort', ['--set-env=B=set'], ['--environment=C=app', '--environment=B=stronger'])

  assert.deepEqual(
    answer
      .trimEnd()
      .split('\n')
      .filter((line) => !/^(PWD|SHLVL|OLDPWD)=/.test(line)),
    [
      'AC_APP_NAME=busybox',
      'B=stronger',
      'C=app',
      'HOME=/root',
      'LOGNAME=root',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHELL=/bin/sh',
      'USER=root',
      'container=rkt',
    ],
  )
})

test('variables are taken from the caller, from files and from options, the stronger over the weaker', async () => {
  await using host = await aHost()
  const file = host.write('env', '# comment\n\nFILE=file\nBOTH=file\n; another\n')
  const words = [
    'run',
    '--net=none',
    '--inherit-env',
    `--set-env-file=${file}`,
    '--set-env=BOTH=option',
    await busybox(),
    '--exec=/bin/sh',
    '--',
    '-c',
    'echo $FROM_CALLER $FILE $BOTH',
  ]

  assert.match(await host.ok(words, {env: {FROM_CALLER: 'caller'}}), /: caller file option\n/)
})

test('user and group are found by name, number and the owner of a path in the image', async () => {
  await using host = await aHost()
  const id = async (...options: string[]): Promise<string> =>
    (await inApp(host, 'id -u; id -g; id -G', [], options)).trim().split('\n').join(' ')

  assert.equal(await id('--user=app', '--group=app'), '1000 1001 1001')
  assert.equal(await id('--user=17', '--group=18', '--supplementary-gids=19,20'), '17 18 18 19 20')
  assert.equal(await id('--user=/bin/busybox', '--group=/bin/busybox'), '0 0 0')
  const refused = await host.rkt(['run', '--net=none', await busybox(), '--user=nobodyhere', '--exec=/bin/id'])
  assert.equal(refused.status, 254)
  assert.match(refused.stderr, /"nobodyhere" user not found/)
})

test('an executable is found as it is written: absolute, below the working directory, or on the PATH', async () => {
  await using host = await aHost()
  const image = await buildImage(manifest({app: {exec: ['echo'], workingDirectory: '/work'}, name: 'example.com/look'}), (rootfs) => {
    addBusybox(rootfs)
    mkdirSync(join(rootfs, 'work'))
    writeFileSync(join(rootfs, 'work/script'), '#!/bin/sh\necho "script in $(pwd), called $0"\n', {mode: 0o755})
  })
  const run = async (...words: string[]): Promise<string> =>
    (await host.ok(['run', '--net=none', image, ...words])).replace(/^.*?\]: /, '').trim()

  assert.equal(await run('--', 'from', 'the', 'path'), 'from the path')
  assert.match(await run('--exec=./script'), /^script in \/work, called /)
  assert.equal(await run('--exec=/bin/pwd'), '/work')
  assert.equal(await run('--exec=/bin/pwd', '--working-dir=/etc'), '/etc')
})

test('the devices, links and file systems of the OS specification are there', async () => {
  await using host = await aHost()

  const answer = await inApp(
    host,
    'for d in null zero full random urandom tty; do stat -c "%n %F %a" /dev/$d; done; for l in fd stdin stdout stderr; do readlink /dev/$l; done; stat -f -c %T /proc /sys /dev/shm | head -1; ls -ld /dev/shm | cut -c1-10; readlink /etc/mtab; echo x > /dev/null && echo writable; test -c /dev/ptmx -o -L /dev/ptmx && echo ptmx',
  )

  for (const device of ['null', 'zero', 'full', 'random', 'urandom', 'tty'])
    assert.match(answer, new RegExp(`^/dev/${device} character special file 666$`, 'm'))
  assert.match(answer, /^\/proc\/self\/fd\n\/proc\/self\/fd\/0\n\/proc\/self\/fd\/1\n\/proc\/self\/fd\/2$/m)
  assert.match(answer, /^drwxrwxrwt$/m)
  assert.match(answer, /^\.\.\/proc\/self\/mounts$/m)
  assert.match(answer, /^writable\nptmx$/m)
})

test('/etc/hosts names the pod', async () => {
  await using host = await aHost()

  assert.match(
    await inApp(host, 'cat /etc/hosts', ['--hostname=named']),
    /^127\.0\.0\.1 localhost localhost\.domain localhost4 localhost4\.localdomain4 named$/m,
  )
  assert.equal((await inApp(host, 'hostname', ['--hostname=named'])).trim(), 'named')
  assert.match(await inApp(host, 'cat /etc/resolv.conf', ['--dns=9.9.9.9', '--dns-search=example.com']), /^nameserver 9\.9\.9\.9$/m)
  assert.match(await inApp(host, 'cat /etc/hosts', ['--hosts-entry=10.0.0.1=db']), /^10\.0\.0\.1 db$/m)
})

test("the caller may not be shown to the app: the host's shadow file and processes are out of reach", async () => {
  await using host = await aHost()

  const answer = await inApp(host, 'cat /proc/1/root/etc/shadow 2>&1; ls /proc | grep -c "^[0-9]"; cat /etc/shadow 2>&1; true')

  assert.doesNotMatch(answer, /root:[*!$]/)
})

test("host volumes are the host's directories, read-only where they say so", async () => {
  await using host = await aHost()
  mkdirSync(host.path('volume'))
  writeFileSync(host.path('volume/given'), 'by the host')

  const answer = await inApp(
    host,
    'cat /data/given; echo; echo from-app > /data/written',
    [`--volume=data,kind=host,source=${host.path('volume')}`],
    ['--mount=volume=data,target=/data'],
  )
  assert.match(answer, /by the host/)
  assert.equal(readFileSync(host.path('volume/written'), 'utf8'), 'from-app\n')

  const readOnly = await host.rkt([
    'run',
    '--net=none',
    `--volume=data,kind=host,source=${host.path('volume')},readOnly=true`,
    await busybox(),
    '--exec=/bin/touch',
    '--mount=volume=data,target=/data',
    '--',
    '/data/refused',
  ])
  assert.notEqual(readOnly.status, 0)
  assert.ok(!existsSync(host.path('volume/refused')))
  assert.equal(readFileSync(host.path('volume/given'), 'utf8'), 'by the host', "gc and the end of the pod leave the host's data")
})

test('an empty volume is shared by the apps of a pod and has the mode and owner asked for', async () => {
  await using host = await aHost()
  const image = await busybox()
  const mount = '--mount=volume=shared,target=/shared'

  const stdout = await host.ok([
    'run',
    '--net=none',
    '--volume=shared,kind=empty,mode=0770,uid=5,gid=6',
    ...[image, '--name=writer', mount, '--exec=/bin/sh', '--', '-c', 'echo message > /shared/file', '---'],
    ...[
      image,
      '--name=reader',
      mount,
      '--exec=/bin/sh',
      '--',
      '-c',
      'until [ -s /shared/file ]; do sleep 0.05; done; cat /shared/file; stat -c "%a %u %g" /shared',
    ],
  ])

  assert.match(stdout, /reader\[\d+\]: message$/m)
  assert.match(stdout, /reader\[\d+\]: 770 5 6$/m)
})

test('a mount point without a volume gets an empty one, and the user is told once', async () => {
  await using host = await aHost()
  const image = await buildImage(
    manifest({app: {exec: ['/bin/touch', '/data/written'], mountPoints: [{name: 'data', path: '/data'}]}, name: 'example.com/mounts'}),
    addBusybox,
  )

  const result = await host.rkt(['run', '--net=none', image])

  assert.equal(result.status, 0, result.stderr)
  const warnings = result.stderr.match(/no volume specified for mount point "data", implicitly creating an "empty" volume/g) ?? []
  assert.equal(warnings.length, 1, result.stderr)
})

test('what an app writes stays in its pod', async () => {
  await using host = await aHost()

  await inApp(host, 'rm -rf /etc; echo x > /new')

  assert.match(await inApp(host, 'ls /etc/passwd; ls /new 2>&1; true'), /^\/etc\/passwd\n.*No such file/)
})

test('an app with a read-only root cannot write it', async () => {
  await using host = await aHost()

  assert.match(await inApp(host, 'touch /new 2>&1; true', [], ['--readonly-rootfs=true']), /Read-only file system/)
})

test('a memory limit is a limit', async () => {
  await using host = await aHost()
  const result = await host.rkt(['run', '--net=none', await busybox(), '--memory=16Mi', '--exec=/bin/sh', '--', '-c', 'tail /dev/zero'])

  assert.notEqual(result.status, 0)
})

test('an interactive app has the terminal that rkt has, an ordinary one has none', async (t) => {
  await using host = await aHost()
  const pty = await import('node-pty').catch((error: Error) => error)
  if (pty instanceof Error) return t.skip('node-pty is not built on this machine')
  const {rktProgram} = await import('./harness/index.ts')
  const words = [
    ...host.globals,
    'run',
    '--net=none',
    '--interactive',
    await busybox(),
    '--exec=/bin/sh',
    '--',
    '-c',
    'test -t 0 && test -t 1 && echo "terminal $(tty)"; read line; echo "read $line"',
  ]
  const terminal = pty.spawn(rktProgram, words, {cols: 80, rows: 24})
  let output = ''
  const ended = new Promise<number>((resolve) => terminal.onExit(({exitCode}) => resolve(exitCode)))
  terminal.onData((text) => {
    output += text
    if (/terminal/.test(output) && !/typed/.test(output)) terminal.write('typed\r')
  })

  assert.equal(await ended, 0, output)
  assert.match(output, /terminal \/dev\//)
  assert.match(output, /read typed/)
  assert.match(await inApp(host, 'test -t 0 || echo none'), /none/)
})

test('each app of a pod has a log, and the console shows time, app and pid', async () => {
  await using host = await aHost()
  const words = [
    'run',
    '--net=none',
    await busybox(),
    '--exec=/bin/sh',
    '--',
    '-c',
    'echo to stdout; echo to stderr >&2; printf unfinished',
  ]

  const result = await host.rkt(words)

  assert.equal(result.status, 0, result.stderr)
  const console = result.stdout + result.stderr
  for (const line of ['to stdout', 'to stderr', 'unfinished'])
    assert.match(console, new RegExp(`^\\[ *\\d+\\.\\d+\\] busybox\\[\\d+\\]: ${line}$`, 'm'))
})

test('--net=host is the network of the host', async () => {
  await using host = await aHost()
  const {readlinkSync} = await import('node:fs')

  const result = await host.ok(['run', '--net=host', await busybox(), '--exec=/bin/readlink', '--', '/proc/self/ns/net'])

  assert.ok(result.includes(readlinkSync('/proc/self/ns/net')))
})

test('export writes the final state of an app as an image that runs', async () => {
  await using host = await aHost()
  const saved = host.path('uuid')
  const image = await busybox()
  for (const options of [[], ['--no-overlay']]) {
    await host.ok([
      'run',
      ...options,
      '--net=none',
      `--uuid-file-save=${saved}`,
      image,
      '--exec=/bin/sh',
      '--',
      '-c',
      'echo exported > /new; rm /etc/group',
    ])
    const uuid = readFileSync(saved, 'utf8')
    const file = host.path(`out${options.length}.aci`)

    await host.ok(['export', uuid, file])

    assert.equal(statSync(file).mode & 0o777, 0o644)
    assert.match(await host.refused(['export', uuid, file]), /^export: error building aci: target file exists \(try --overwrite\)\n/)
    assert.match(await host.refused(['export', uuid, host.path('out.tar')]), /extension must be .aci \(given .*out\.tar\)/)
    const again = await host.ok(['run', '--net=none', file, '--exec=/bin/sh', '--', '-c', 'cat /new; ls /etc/group 2>&1; true'])
    assert.match(again, /: exported\n.*No such file/)
  }
})

test('a running pod cannot be exported', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])

  assert.match(await host.refused(['export', pod.uuid, host.path('out.aci')]), /pod is not exited. Only exited pods can be exported/)
  await pod.stop()
})
