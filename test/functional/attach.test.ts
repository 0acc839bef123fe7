/** Streams of apps, and those who attach to them: by pipes and on real terminals. */
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {connect} from 'node:net'
import {join} from 'node:path'
import {type TestContext, test} from 'node:test'
import {aHost, busybox, eventually, familyOf, type Host, type RunningPod, rktProgram} from './harness/index.ts'

type Modes = Partial<Record<'stdin' | 'stdout' | 'stderr', string>>

/** A pod of one shell with these stream modes. */
async function podOf(host: Host, modes: Modes, script: string): Promise<RunningPod> {
  const streams = Object.entries(modes).map(([stream, mode]) => `--${stream}=${mode}`)
  return await host.pod(['--net=none', await busybox(), '--exec=/bin/sh', ...streams, '--', '-c', script])
}

/** `rkt attach` with its input open. */
class Client implements AsyncDisposable {
  readonly child: ChildProcess
  readonly exit: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(host: Host, ...words: string[]) {
    this.child = spawn(rktProgram, [...host.globals, 'attach', ...words], {stdio: 'pipe'})
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.child.stdin?.on('error', () => {})
    this.exit = new Promise((resolve) => this.child.on('close', resolve))
  }

  say(text: string): void {
    this.child.stdin?.write(text)
  }

  async shows(pattern: RegExp): Promise<void> {
    await eventually(
      () => pattern.test(this.stdout),
      () => `${pattern} in "${this.stdout}", stderr "${this.stderr}"`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exit
  }
}

/** How many are attached to streams of a pod: what its supervisor has accepted counts as of the network that it came from, which is ours. */
function connections(pod: RunningPod): number {
  const fds = `/proc/${readFileSync(join(pod.dir, 'pid'), 'latin1').trim()}/fd`
  const held = new Set(
    readdirSync(fds).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(fds, fd)))?.[1] ?? []
      } catch {
        return [] // closed while we looked
      }
    }),
  )
  const accepted = readFileSync('/proc/net/unix', 'latin1').matchAll(/ (\d+) \/proc\/self\/fd\/\d+\/sock-/g)
  return [...accepted].filter(([, inode = '']) => held.has(inode)).length
}

test('what one client writes by lines the app reads, and all clients see what it answers', async () => {
  await using host = await aHost()
  const pod = await podOf(host, {stdin: 'stream', stdout: 'stream'}, 'while read l; do echo "got $l"; done; echo over')

  assert.equal(await host.ok(['attach', '--mode=list', pod.uuid]), 'stdin\nstdout\n')
  const document = JSON.parse(await host.ok(['attach', '--mode=list', '--format=json', pod.uuid]))
  assert.deepEqual(document.targets[1], {address: '/rkt/iottymux/busybox/sock-stdout', domain: 'unix', name: 'stdout'})
  await using one = new Client(host, '--mode=stdin,stdout', pod.uuid)
  await using other = new Client(host, pod.uuid)
  one.say('first\n')
  await one.shows(/got first\n/)
  await eventually(() => connections(pod) === 4, 'both to be attached')
  other.say('half ')
  one.say('whole\n')
  await one.shows(/got whole\n/)
  other.say('line\n')
  await other.shows(/got whole\n[\s\S]*got half line\n/)
  await eventually(() => /got half line/.test(one.stdout), 'the other client')

  // From a pipe that ends: delivered, and the app goes on.
  assert.equal((await host.rkt(['attach', '--mode=stdin', pod.uuid], {input: 'piped\nlast'})).status, 0)
  await one.shows(/got piped\ngot last\n/)
  one.child.kill('SIGKILL')
  other.say('alone\n')
  await other.shows(/got alone\n/)
  assert.equal((await pod.status()).state, 'running')
  await pod.stop()
  assert.equal(await other.exit, 0, other.stderr)
})

test('each output has its own clients', async () => {
  await using host = await aHost()
  const script = 'while read l; do echo "out $l"; echo "err $l" >&2; done'
  const pod = await podOf(host, {stderr: 'stream', stdin: 'stream', stdout: 'stream'}, script)
  await using out = new Client(host, '--mode=stdout', pod.uuid)
  await using err = new Client(host, '--mode=stderr', pod.uuid)
  await using all = new Client(host, '--mode=auto', pod.uuid)
  await eventually(() => connections(pod) === 5, 'all to be attached')

  all.say('word\n')

  await all.shows(/^out word\n$/)
  await out.shows(/^out word\n$/)
  const errors = () => [all, err, out].map(({stderr}) => stderr)
  await eventually(
    () => errors().join('|') === 'err word\n|err word\n|',
    () => errors().join('|'),
  )
  assert.equal(err.stdout, '')
  await pod.stop()
  assert.deepEqual(await Promise.all([out.exit, err.exit, all.exit]), [0, 0, 0])
})

test("a stream leads nowhere, to the log or to the caller's own, as annotations say that the options write", async () => {
  await using host = await aHost()
  const image = await busybox()
  const id = (await host.ok(['fetch', '--full', image])).trim()
  const script = 'read l; echo "out $l"; echo "err $l" >&2'
  const words = (...streams: string[]) => ['--net=none', image, ...streams, '--exec=/bin/sh', '--', '-c', script]
  const run = async (...streams: string[]) => await host.rkt(['run', ...words(...streams)], {input: 'word\n'})

  const half = await run('--stdin=null', '--stdout=null')
  assert.match(half.stdout, /busybox\[\d+\]: err $/m)
  assert.doesNotMatch(half.stdout, /out/)
  const own = await run('--stdin=interactive', '--stdout=interactive', '--stderr=interactive')
  assert.deepEqual([own.stdout, own.stderr.split('\n').at(-2)], ['out word\n', 'err word'])
  const uuid = (await host.ok(['prepare', '--quiet', ...words('--stdin=tty', '--stdout=stream', '--stderr=null').slice(1)])).trim()
  const [app] = JSON.parse(await host.ok(['cat-manifest', uuid])).apps
  const modes = Object.fromEntries(app.annotations.map(({name, value}: {name: string; value: string}) => [name, value]))
  const named = (stream: string) => `coreos.com/rkt/stage2/${stream}`
  assert.deepEqual(modes, {[named('stdin')]: 'tty', [named('stdout')]: 'stream', [named('stderr')]: 'null'})
  const manifest = (stdout: string) => ({
    acKind: 'PodManifest',
    acVersion: '0.8.11',
    apps: [
      {
        annotations: [{name: named('stdout'), value: stdout}],
        app: {exec: ['/bin/echo', 'seen'], group: '0', user: '0'},
        image: {id},
        name: 'one',
      },
    ],
  })
  const given = async (stdout: string) =>
    await host.rkt(['run', '--net=none', `--pod-manifest=${host.write('pod.json', JSON.stringify(manifest(stdout)))}`])
  assert.match((await given('log')).stdout, /one\[\d+\]: seen$/m)
  assert.doesNotMatch((await given('null')).stdout, /seen/)
  assert.match((await given('frob')).stderr, /app "one": invalid stdout mode "frob"/)
})

test('a client for whom there is no room is told so, and those that are attached notice nothing', async () => {
  await using host = await aHost()
  const pod = await podOf(host, {stdin: 'stream', stdout: 'stream'}, 'while read l; do echo "got $l"; done')
  const path = `/proc/${await pod.initPid()}/root/rkt/iottymux/busybox/sock-stdout`
  const heard = Array.from({length: 16}, () => '')
  const sockets = heard.map((_, index) => connect(path).on('data', (bytes) => (heard[index] += bytes.toString())))
  await eventually(() => connections(pod) === 16, 'sixteen to be attached')

  const told = await host.ok(['attach', '--mode=stdout', pod.uuid])
  assert.equal(told, 'rkt: there is no room for more than 16 clients\n')

  await host.ok(['attach', '--mode=stdin', pod.uuid], {input: 'word\n'})
  await eventually(
    () => heard.every((text) => text === 'got word\n'),
    () => heard.join(''),
  )
  for (const socket of sockets) socket.destroy()
  await pod.stop()
})

test('lines of two writers are never mixed, however long, and a terminal that does not read grows nothing', async () => {
  await using host = await aHost()
  const pod = await podOf(
    host,
    {stdin: 'stream', stdout: 'log'},
    "sleep 1; while read l; do echo ${#l} $(echo $l | cut -c1)$(echo $l | sed 's/.*\\(.\\)$/\\1/'); done",
  )
  const lines = (letter: string) => `${letter.repeat(30_000)}\n`.repeat(20)

  const ended = await Promise.all(
    ['a', 'b'].map(async (letter) => await host.rkt(['attach', '--mode=stdin', pod.uuid], {input: lines(letter)})),
  )

  assert.deepEqual(
    ended.map(({status}) => status),
    [0, 0],
  )
  await eventually(
    () => (pod.process.stdout.match(/30000 (aa|bb)$/gm) ?? []).length === 40,
    () => pod.process.stdout,
  )
  await pod.stop()
})

test('a client that does not read holds up neither the app nor the others, and is told what it lost', async () => {
  await using host = await aHost()
  const script =
    'read go; i=0; while [ $i -lt 30000 ]; do echo "line $i of the app, long enough to count for something"; i=$((i+1)); [ $((i%1000)) = 0 ] && sleep 0.05; done; echo finished; read end'
  const pod = await podOf(host, {stdin: 'stream', stdout: 'stream'}, script)
  await using slow = new Client(host, '--mode=stdout', pod.uuid)
  slow.child.stdout?.pause()
  await using quick = new Client(host, pod.uuid)
  await eventually(() => connections(pod) === 3, 'both to be attached')
  quick.say('go\n')

  await quick.shows(/finished\n/)
  assert.equal((quick.stdout.match(/^line /gm) ?? []).length, 30_000)

  slow.child.stdout?.resume()
  await slow.shows(/rkt: \d+ lines were dropped, this client was too slow\n/)
  await pod.stop()
})

test('errors: no endpoint, no stream, an unknown mode, terminal and streams, several apps, an app that is not there', async () => {
  await using host = await aHost()
  const image = await busybox()
  const sleep = ['--exec=/bin/sleep', '--', '1000']
  const pod = await host.pod(['--net=none', image, '--name=one', '--stdout=stream', ...sleep, '---', image, '--name=two', ...sleep])

  const refused = async (...words: string[]) => await host.refused(['attach', ...words, pod.uuid])
  assert.match(await refused('--app=two'), /two" has no streams to attach to[\s\S]*attach: attach failed: exit status 254/)
  assert.match(await refused('--app=two', '--mode=list'), /has no streams to attach to/)
  assert.match(await refused('--app=one', '--mode=stdin'), /app "one" has no endpoint "stdin"/)
  assert.match(await refused('--app=one', '--mode=tty'), /app "one" has no endpoint "tty"/)
  assert.match(await refused('--app=one', '--mode=frob'), /attach: invalid attach mode: unknown endpoint "frob"/)
  assert.match(
    await refused('--app=one', '--mode=tty,stdin'),
    /incompatible endpoints "tty,stdin", cannot simultaneously attach TTY and streams/,
  )
  assert.match(await refused('--app=three'), /unable to determine app name: app three is not present in pod/)
  assert.match(await refused(), /pod contains multiple apps:[\s\S]*specify app using "rkt attach --app= ..."/)
  await pod.stop()
  assert.match(await refused('--app=one'), /isn't currently running/)
})

test('a socket that somebody else listens at is not attached to', async () => {
  await using host = await aHost()
  const pod = await podOf(host, {stdout: 'stream'}, 'sleep 1000')
  const directory = `/proc/${await pod.initPid()}/root/rkt/iottymux/busybox`
  execFileSync('rm', [join(directory, 'sock-stdout')])
  const liar = spawn('socat', [`UNIX-LISTEN:${join(directory, 'sock-stdout')},fork`, 'SYSTEM:echo lies'])
  try {
    await eventually(() => existsSync(join(directory, 'sock-stdout')), 'the liar')

    assert.match(await host.refused(['attach', pod.uuid]), /it is not the supervisor who listens there/)
    execFileSync('ln', ['-sf', '/etc/passwd', join(directory, 'endpoints')])
    assert.match(await host.refused(['attach', '--mode=list', pod.uuid]), /endpoints: too many levels of symbolic links/i)
  } finally {
    liar.kill('SIGKILL')
  }
  await pod.stop()
})

/** `rkt attach` on a terminal of its own, below a shell that says afterwards, again and again, what the terminal is set to. */
async function onTerminal(t: TestContext, host: Host, words: readonly string[], size = {cols: 80, rows: 24}) {
  const pty = await import('node-pty').catch((error: Error) => error)
  if (pty instanceof Error) {
    t.skip('node-pty is not built on this machine')
    return undefined
  }
  const command = [rktProgram, ...host.globals, 'attach', ...words].map((word) => `'${word}'`).join(' ')
  const shell = pty.spawn(
    '/bin/sh',
    ['-c', `${command}; echo "status $?"; while stty -a | grep -o -- '-\\?icanon\\|-\\?echo\\b' | tr '\\n' ' '; do sleep 0.1; done`],
    size,
  )
  const state = {output: ''}
  shell.onData((text) => {
    state.output += text
  })
  const shows = async (pattern: RegExp) =>
    await eventually(
      () => pattern.test(state.output),
      () => `${pattern} in ${JSON.stringify(state.output)}`,
    )
  return {shell, shows, state}
}

test("an app with a terminal is attached to, its size follows, and ^]^]^] gives the caller's terminal back", async (t) => {
  await using host = await aHost()
  const script = 'trap "stty size" WINCH; tty; while :; do read l && echo "heard $l, $(stty size), $TERM"; done'
  const image = await busyboxWithStty()
  const tty = ['--stdin=tty', '--stdout=tty', '--stderr=tty']
  const pod = await host.pod(['--net=none', image, ...tty, '--exec=/bin/sh', '--', '-c', script])
  assert.equal(await host.ok(['attach', '--mode=list', pod.uuid]), 'tty\n')
  const terminal = await onTerminal(t, host, [pod.uuid], {cols: 101, rows: 33})
  if (!terminal) return
  const {shell, shows, state} = terminal

  await eventually(() => connections(pod) === 1, 'the terminal to be attached')
  shell.write('hello\r')
  await shows(/heard hello, 33 101, vt220\r\n/)
  shell.resize(90, 20)
  await eventually(async () => {
    shell.write('again\r')
    await new Promise((resolve) => setTimeout(resolve, 200))
    return /heard again, 20 90/.test(state.output)
  }, 'the new size')

  // Piped in beside the terminal: one line, then it ends, and the terminal shows it.
  assert.equal((await host.rkt(['attach', '--mode=tty-in', pod.uuid], {input: 'from a pipe\n'})).status, 0)
  await shows(/heard from a pipe/)
  await using watcher = new Client(host, '--mode=tty-out', pod.uuid)
  await eventually(() => connections(pod) === 2, 'somebody to watch')
  shell.write('watched\r')
  await watcher.shows(/heard watched, 20 90/)

  shell.write('\x1d\x1d\x1d')
  await shows(/status 0\r\nicanon echo /)
  assert.equal((await pod.status()).state, 'running')
  shell.kill()
  await pod.stop()
})

for (const [what, end] of [
  ['the app exits', 'exit'],
  ['rkt is killed by TERM', 'term'],
  ['rkt is killed by KILL', 'kill'],
  ['the entrypoint is killed by KILL', 'kill entrypoint'],
] as const) {
  test(`the caller's terminal is given back when ${what}`, async (t) => {
    await using host = await aHost()
    const pod = await podOf(
      host,
      {stderr: 'tty', stdin: 'tty', stdout: 'tty'},
      'while read l; do echo "heard $l"; [ $l = exit ] && exit 3; done',
    )
    const terminal = await onTerminal(t, host, [pod.uuid])
    if (!terminal) return
    await eventually(() => connections(pod) === 1, 'the terminal to be attached')
    terminal.shell.write('hello\r')
    await terminal.shows(/heard hello/)

    if (end === 'exit') terminal.shell.write('exit\r')
    else if (end === 'kill entrypoint') {
      const entrypoint = familyOf(terminal.shell.pid).find(({command}) => command.includes('--action='))
      assert.ok(entrypoint)
      process.kill(entrypoint.pid, 'SIGKILL')
    } else execFileSync('pkill', [`-${end.toUpperCase()}`, '-P', String(terminal.shell.pid)])

    await terminal.shows(end === 'exit' ? /status 0\r\nicanon echo / : /status (143|137|254)[\s\S]*icanon echo /)
    terminal.shell.kill()
    if (end === 'exit') assert.equal((await pod.process.exit).status, 3)
    else await pod.stop()
  })
}

async function busyboxWithStty(): Promise<string> {
  const {addBusybox, buildImage, manifest} = await import('./harness/index.ts')
  const {symlinkSync} = await import('node:fs')
  return await buildImage(manifest({name: 'example.com/terminals'}), (rootfs) => {
    addBusybox(rootfs)
    symlinkSync('busybox', join(rootfs, 'bin/stty'))
  })
}
