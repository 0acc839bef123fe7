/** Filters of system calls, in real pods: which calls pass by default and by isolators, in every ABI, and what is said of the others. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, arch, buildImage, busybox, eventually, type Host, inApp, manifest, program, withoutLabels} from './harness/index.ts'

const onAmd64 = {skip: arch === 'amd64' ? false : 'the numbers of the calls are those of amd64'}

const ENTER = ['/bin/sh', '-c', 'exec /bin/calls amd64:165 amd64:39']

/** What becomes of system calls in an app: the answers of test/fixtures/programs/calls.c by word. */
async function callsIn(host: Host, words: readonly string[], options: {pod?: string[]; app?: string[]} = {}) {
  const {app = [], pod = []} = options
  const answer = await host.ok(['run', '--net=none', ...pod, await program('calls'), ...app, '--', ...words])
  return Object.fromEntries(
    withoutLabels(answer)
      .split('\n')
      .filter((line) => line !== '' && !/^\[[^\]]*\] rkt: /.test(line))
      .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  )
}

test('by default what needs privileges ends a process, what programs try fails, and the rest passes: in every ABI', onAmd64, async () => {
  await using host = await aHost()

  const answers = await callsIn(host, [
    'amd64:39', // getpid
    'i386:20',
    'amd64:165', // mount
    'i386:21',
    'amd64:101', // ptrace
    'i386:26',
    'amd64:435', // clone3
    'i386:435',
    'amd64:425', // io_uring_setup
    'amd64:272:0x10000000', // unshare: CLONE_NEWUSER
    'amd64:272:0x400', // unshare: CLONE_FILES
    'i386:310:0x20000', // unshare: CLONE_NEWNS
    'amd64:56:0x10000011', // clone: CLONE_NEWUSER
    'amd64:100000',
    'amd64:250', // keyctl
    'x32:165',
  ])

  assert.deepEqual(answers, {
    'amd64:39': 'ok',
    'i386:20': 'ok',
    'amd64:165': 'signal 31',
    'i386:21': 'signal 31',
    'amd64:101': 'EPERM',
    'i386:26': 'EPERM',
    'amd64:435': 'ENOSYS',
    'i386:435': 'ENOSYS',
    'amd64:425': 'ENOSYS',
    'amd64:272:0x10000000': 'EPERM',
    'amd64:272:0x400': 'ok',
    'i386:310:0x20000': 'EPERM',
    'amd64:56:0x10000011': 'EPERM',
    'amd64:100000': 'ENOSYS',
    'amd64:250': 'EPERM',
    'x32:165': 'signal 31',
  })
})

test('a filter is there by default, with no_new_privs only for those who are not root, and goes with its option', async () => {
  await using host = await aHost()
  const script = 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status'

  assert.equal(await inApp(host, script), 'NoNewPrivs:\t0\nSeccomp:\t2\n')
  assert.equal(await inApp(host, script, [], ['--user=1000', '--group=1000']), 'NoNewPrivs:\t1\nSeccomp:\t2\n')
  assert.equal(await inApp(host, script, [], ['--seccomp=mode=retain,@appc.io/all', '--user=1000']), 'NoNewPrivs:\t0\nSeccomp:\t0\n')
  const globals = [...host.globals.slice(0, -1), '--insecure-options=image,seccomp']
  const words = ['run', '--net=none', await busybox(), '--exec=/bin/sh', '--user=1000', '--', '-c', script]
  assert.equal(withoutLabels(await host.ok(words, {globals})), 'NoNewPrivs:\t0\nSeccomp:\t0\n')
})

test('a set is retained or removed, with the error that it asks for', onAmd64, async () => {
  await using host = await aHost()
  const [mkdir, mount] = ['amd64:83', 'amd64:165']

  const removed = await callsIn(host, [mkdir, mount], {app: ['--seccomp=mode=remove,errno=ENOTSUP,mkdir']})
  const added = await callsIn(host, [mkdir, mount], {app: ['--seccomp=mode=retain,@rkt/default-whitelist,mount']})
  const documented = await callsIn(host, [mount, 'amd64:435', 'amd64:250'], {
    app: ['--seccomp=mode=retain,errno=EACCES,@docker/default-whitelist'],
  })

  assert.deepEqual(removed, {[mkdir]: 'EOPNOTSUPP', [mount]: 'EFAULT'})
  assert.deepEqual(added, {[mkdir]: 'EFAULT', [mount]: 'EFAULT'})
  assert.deepEqual(documented, {'amd64:250': 'EACCES', 'amd64:435': 'ENOSYS', [mount]: 'EACCES'})
})

test('who retains CAP_SYS_ADMIN may make namespaces', onAmd64, async () => {
  await using host = await aHost()

  const answers = await callsIn(host, ['amd64:272:0x4000000', 'amd64:435', 'amd64:165'], {app: ['--caps-retain=CAP_SYS_ADMIN']})

  assert.deepEqual(answers, {'amd64:165': 'signal 31', 'amd64:272:0x4000000': 'ok', 'amd64:435': 'EINVAL'})
})

test('when an app dies of a system call, status, JSON, console and log say which', onAmd64, async () => {
  await using host = await aHost()
  const saved = host.path('uuid')

  const words = ['run', '--net=none', `--uuid-file-save=${saved}`, await program('calls'), '--name=app', '--', '--direct', 'amd64:166']
  const result = await host.rkt(words)

  assert.equal(result.status, 159, result.stderr)
  const uuid = readFileSync(saved, 'utf8')
  const told = /app "app": process \d+ was ended: system call umount2 is not allowed/
  assert.match(result.stdout, told)
  assert.match(readFileSync(join(host.dataDir, 'pods/run', uuid, 'logs/app.log'), 'utf8'), told)
  assert.match(await host.ok(['status', uuid]), /^app-app=159\nsyscall-app=umount2$/m)
  const report = JSON.parse(await host.ok(['status', '--format=json', uuid]))
  assert.equal(report.apps[0].exit_code, 159)
  assert.equal(report.apps[0].refused_syscall, 'umount2')
})

test('the call is named also when a shell passes the status on, when SIGSYS is ignored, and of i386', onAmd64, async () => {
  await using host = await aHost()
  const image = await program('calls')
  const cause = async (script: string) => {
    const saved = host.path('uuid')
    const words = ['run', '--net=none', `--uuid-file-save=${saved}`, image, '--exec=/bin/sh', '--name=app', '--', '-c', script]
    const {status} = await host.rkt(words)
    return [status, /^syscall-app=.*$/m.exec(await host.ok(['status', readFileSync(saved, 'utf8')]))?.[0]]
  }

  assert.deepEqual(await cause('/bin/calls --direct amd64:165; exit $?'), [159, 'syscall-app=mount'])
  assert.deepEqual(await cause('trap "" SYS; exec /bin/calls --direct i386:52'), [159, 'syscall-app=umount2'])
  assert.deepEqual(await cause('/bin/calls --direct amd64:165; exit 3'), [3, undefined])
})

test('an app whose processes are refused again and again holds up nobody, and fills no log', onAmd64, async () => {
  await using host = await aHost()
  const image = await program('calls')
  const script = 'n=0; while [ $n -lt 200 ]; do /bin/calls --direct amd64:165; n=$((n+1)); done 2>/dev/null; echo done'

  const stdout = await host.ok(['run', '--net=none', image, '--exec=/bin/sh', '--', '-c', script])

  assert.equal(stdout.match(/system call mount is not allowed/g)?.length, 1)
  assert.match(withoutLabels(stdout), /^done$/m)
})

test('a filter that lets hardly anything through is installed all the same, and names what it withholds', onAmd64, async () => {
  await using host = await aHost()
  const saved = host.path('uuid')
  const words = ['run', '--net=none', `--uuid-file-save=${saved}`, await program('calls'), '--name=app', '--seccomp=mode=retain,write']

  const {status} = await host.rkt(words)

  assert.equal(status, 159)
  assert.match(await host.ok(['status', readFileSync(saved, 'utf8')]), /^syscall-app=\w+$/m)
})

test('commands that are entered and handlers have the filter of the app', onAmd64, async () => {
  await using host = await aHost()
  const handlers = [{exec: ['/bin/sh', '-c', '/bin/calls amd64:165 > /handled'], name: 'pre-start'}]
  const image = await program('calls')
  const pod = await host.pod(['--net=none', image, '--exec=/bin/sleep', '--', '1000'])

  assert.match(await pod.enter(...ENTER), /^amd64:165 signal 31$/m)
  await pod.stop()

  const app = {eventHandlers: handlers, exec: ['/bin/cat', '/handled'], user: '1000'}
  const handled = await buildImage(manifest({app, dependencies: [{imageName: 'example.com/calls'}], name: 'example.com/handled'}), () => {})
  assert.match(withoutLabels(await host.ok(['run', '--net=none', handled])), /^amd64:165 signal 31$/m)
})

test('the call is named also where a command that is entered makes it, and what outlives the command is ended too', onAmd64, async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await program('calls'), '--exec=/bin/sleep', '--', '1000'])
  const named = /^Error: process \d+ was ended: system call mount is not allowed$/m

  const own = await host.rkt(['enter', pod.uuid, '/bin/calls', '--direct', 'amd64:165'])
  assert.deepEqual([own.status, own.signal], [null, 'SIGSYS'])
  assert.match(own.stderr, named)
  const child = await host.rkt(['enter', pod.uuid, '/bin/sh', '-c', 'exec 2> /dev/null; /bin/calls --direct amd64:165; exit 7'])
  assert.equal(child.status, 7)
  assert.match(child.stderr, named)
  const later = '(read line < /later; /bin/calls --direct amd64:165; echo $? > /status) > /dev/null 2>&1 < /dev/null &'
  assert.equal(await pod.enter('/bin/sh', '-c', `mkfifo /later; ${later}`), '')
  await pod.enter('/bin/sh', '-c', 'echo > /later')
  await eventually(async () => /^159$/m.test(await pod.enter('/bin/sh', '-c', 'cat /status; true')), 'the call to end what made it')
  await pod.stop()
})

test('the call is named also where a handler makes it, and the status says it of one before the start', onAmd64, async () => {
  await using host = await aHost()
  const call = ['/bin/calls', '--direct', 'amd64:165']
  const run = async (name: string, handlers: readonly object[]) => {
    const app = {eventHandlers: handlers, exec: ['/bin/true'], group: '0', user: '0'}
    const image = await buildImage(manifest({app, dependencies: [{imageName: 'example.com/calls'}], name: `example.com/${name}`}), () => {})
    const saved = host.path(name)
    const result = await host.rkt(['run', '--net=none', `--uuid-file-save=${saved}`, image, '--name=app'])
    return {...result, report: await host.ok(['status', readFileSync(saved, 'utf8')])}
  }
  const named = /app "app": process \d+ was ended: system call mount is not allowed/
  await host.ok(['fetch', await program('calls')])

  const before = await run('before', [{exec: call, name: 'pre-start'}])
  const after = await run('after', [{exec: call, name: 'post-stop'}])

  assert.match(before.stdout, named)
  assert.match(before.report, /^app-app=159\nsyscall-app=mount$/m)
  assert.match(after.stdout, named)
  assert.match(after.report, /^app-app=0$/m)
})

test('where unshare is removed, clone makes no namespaces either', onAmd64, async () => {
  await using host = await aHost()
  const [clone, clone3] = ['amd64:56:0x10000011', 'amd64:435']

  const removed = await callsIn(host, [clone, clone3], {app: ['--seccomp=mode=remove,unshare']})
  const other = await callsIn(host, [clone3], {app: ['--seccomp=mode=remove,mount']})

  assert.deepEqual(removed, {[clone]: 'EPERM', [clone3]: 'ENOSYS'})
  assert.deepEqual(other, {[clone3]: 'EINVAL'})
})

test('what a filter cannot mean is refused before anything has started, with the app and the isolator', async () => {
  await using host = await aHost()
  const image = await busybox()
  const refused = async (...options: string[]) => await host.refused(['run', '--net=none', image, '--name=app', ...options])

  assert.match(
    await refused('--seccomp=mode=retain,frobnicate'),
    /^stage1: app "app": isolator os\/linux\/seccomp-retain-set: set: "frobnicate" is not a system call$/m,
  )
  assert.match(
    await refused('--seccomp=mode=remove,errno=EBOGUS,mount'),
    /^stage1: app "app": isolator os\/linux\/seccomp-remove-set: errno: "EBOGUS" is not known on Linux$/m,
  )
  assert.equal(await inApp(host, 'echo started', [], ['--seccomp=mode=remove,@unheard/of']), 'started\n')
})
