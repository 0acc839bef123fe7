import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {after, before, test} from 'node:test'

const checkout = resolve(import.meta.dirname, '../..')
const launcher = join(checkout, 'bin/rkt')
const rootOnly = process.getuid?.() === 0 ? {} : {skip: 'mounting needs root'}
let dir = ''

/** An installation of its own: the real launcher and addon; its program becomes what its first argument says. */
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-become-'))
  for (const folder of ['bin', 'dist', 'lib']) mkdirSync(join(dir, folder))
  copyFileSync(launcher, join(dir, 'bin/rkt'))
  chmodSync(join(dir, 'bin/rkt'), 0o755)
  symlinkSync(process.execPath, join(dir, 'lib/node'))
  const front = JSON.stringify(join(import.meta.dirname, 'index.ts'))
  writeFileSync(
    join(dir, 'dist/rkt.js'),
    `import {become, callerEnvironment} from ${front}
    import {openSync} from 'node:fs'
    const {keep, wait, ...request} = JSON.parse(process.argv[2])
    const keepFds = keep ? [openSync(keep, 'r')] : []
    openSync('/etc/passwd', 'r') // must not be inherited
    process.stdout.isTTY // as any program that prints: Node makes pipes non-blocking
    try {
      become({cwd: '/', env: callerEnvironment(), keepFds, ...request})
    } catch (error) {
      console.error(error.message + ': ' + (error.cause?.message ?? ''))
      process.exitCode = 254
    }`,
  )
  writeFileSync(join(dir, 'package.json'), '{"type": "module"}')
})
after(() => rmSync(dir, {force: true, recursive: true}))

/** Sets up a caller that nobody would expect, then becomes its arguments. */
const caller = `
import fcntl, os, resource, signal, socket, sys
os.closerange(3, 4096) # whatever started this test may have left something open
for name in ['SIGPIPE', 'SIGXFSZ']: signal.signal(getattr(signal, name), signal.SIG_DFL)
for word in sys.argv[1].split(','):
    key, _, value = word.partition('=')
    if key == 'ignore': signal.signal(getattr(signal, value), signal.SIG_IGN)
    if key == 'block': signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, value)])
    if key == 'umask': os.umask(int(value, 8))
    if key == 'nofile': resource.setrlimit(resource.RLIMIT_NOFILE, tuple(int(n) for n in value.split(':')))
    if key == 'stack': resource.setrlimit(resource.RLIMIT_STACK, (int(value), -1))
    if key == 'close': os.close(int(value))
    if key == 'nonblock': os.set_blocking(int(value), False)
    if key == 'sockets':
        high = fcntl.fcntl(socket.socket(socket.AF_UNIX).detach(), fcntl.F_DUPFD, 100)
        os.closerange(3, high)
        for number in (3, 5): os.dup2(high, number) # 4 is closed
        os.close(high)
        os.environ['LISTEN_FDS'] = value
        os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
`

/** Prints everything that a process inherits, without the numbers that differ from one process to the next. */
const report = `
cat /proc/self/limits; umask
for fd in /proc/$$/fd/*; do
  echo "$(basename $fd) $(readlink $fd | sed 's/[0-9][0-9]*//g') $(grep flags /proc/$$/fdinfo/$(basename $fd))"
done 2>/dev/null
env | grep -E '^(NODE_|RKT_|LISTEN_FDS)' | sort; true`
const inherited = ['/bin/sh', '-c', report]

/** Not by a shell, which changes its signal mask when it starts. */
const signals = ['/bin/grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']

function state(settings: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const options = {encoding: 'utf8', env: {PATH: process.env.PATH, ...env}, input: ''} as const
  const {stderr, stdout} = spawnSync('python3', ['-c', caller, settings, ...words], options)
  assert.equal(stderr, '')
  return stdout
}

const becoming = (argv: readonly string[], request = {}) => [join(dir, 'bin/rkt'), JSON.stringify({argv, path: argv[0], ...request})]

const python = spawnSync('python3', ['--version']).status === 0 ? {} : {skip: 'python3 is not installed'}

for (const settings of [
  'nothing',
  'ignore=SIGHUP,ignore=SIGPIPE,ignore=SIGRTMIN',
  'block=SIGUSR2,block=SIGTERM,block=SIGRTMAX',
  'umask=077,nofile=500:600,stack=4194304',
  'umask=0',
  'nofile=100:1000',
  'nonblock=0',
  'close=0',
  'close=2',
  'sockets=3',
]) {
  test(`a program is given exactly what the caller of rkt had: ${settings}`, python, () => {
    const environment = {NODE_OPTIONS: '--title="a;b,c"', NODE_PATH: '/x=y'}
    assert.equal(state(settings, becoming(inherited), environment), state(settings, inherited, environment))
    assert.equal(state(settings, becoming(signals), environment), state(settings, signals, environment))
  })
}

test('the probes see what they are asked about', python, () => {
  assert.match(state('ignore=SIGHUP,block=SIGUSR2', signals), /SigBlk:\t0{13}800\nSigIgn:\t0{15}1\n/)
  const seen = state('umask=077,nofile=500:600,nonblock=0,sockets=3', inherited)
  for (const part of [/^0077$/m, /open files +500 +600 /, /^0 .*flags:\t04002$/m, /^3 socket/m, /^5 socket/m]) assert.match(seen, part)
  assert.doesNotMatch(state('close=0', inherited), /^0 \//m)
})

test('one descriptor more stays open when it is named', python, () => {
  const without = state('nothing', becoming(inherited)).split('\n')
  const named = state('nothing', becoming(inherited, {keep: dir})).split('\n')
  const more = named.filter((line) => !without.includes(line))

  assert.equal(more.length, 1)
  assert.match(more[0] ?? '', /^\d+ .*rkt-become-/)
})

test('a program that cannot be executed leaves Node able to say so, with status 254', () => {
  const request = JSON.stringify({argv: ['x'], path: '/no/such'})
  const {status, stderr} = spawnSync(join(dir, 'bin/rkt'), [request], {encoding: 'utf8'})
  assert.deepEqual({status, stderr}, {status: 254, stderr: 'cannot execute /no/such: no such file or directory\n'})
})

test('a record of the launcher that was tampered with is refused', () => {
  const words = [join(dir, 'dist/rkt.js'), JSON.stringify({argv: ['true'], path: '/bin/true'})]
  const {stderr} = spawnSync(process.execPath, words, {encoding: 'utf8', env: {...process.env, RKT_LAUNCH: '1;l=x'}})
  assert.match(stderr, /the record of the launcher is damaged at its limits/)
})

test("the pod's mounts are its own, go with it, and the host's keep their propagation", rootOnly, () => {
  const data = join(dir, 'data')
  const elsewhere = join(dir, 'elsewhere')
  mkdirSync(data)
  mkdirSync(elsewhere)
  const pod = join(data, 'pod')
  const request = {
    argv: [
      'sh',
      '-euc',
      `grep -q " $PWD/rootfs .* overlay " /proc/self/mountinfo
      cat rootfs/file rootfs/opt/app/inner; echo changed >rootfs/file
      mount -t tmpfs none ${elsewhere}/by-pod
      touch ready; until [ -e go ]; do sleep 0.01; done
      grep -c by-host /proc/self/mountinfo`,
    ],
    cwd: pod,
    mounts: {
      overlays: [
        {lowers: [join(data, 'tree')], target: join(pod, 'rootfs'), upper: join(pod, 'upper'), work: join(pod, 'work')},
        {lowers: [join(data, 'tree2'), join(data, 'tree')], target: join(pod, 'rootfs/opt/app')},
      ],
      root: pod,
    },
    path: '/bin/sh',
  }
  const host = `
    mount -t tmpfs data ${data}; mount --make-shared ${data}
    mount -t tmpfs elsewhere ${elsewhere}; mount --make-shared ${elsewhere}
    mkdir -p ${data}/tree/opt/app ${data}/tree2 ${pod}/rootfs ${pod}/upper ${pod}/work ${elsewhere}/by-pod ${elsewhere}/by-host
    echo lower >${data}/tree/file; echo inner >${data}/tree2/inner
    before=$(grep -c ${data} /proc/self/mountinfo)
    "$1" "$2" & until [ -e ${pod}/ready ] || ! kill -0 $!; do sleep 0.01; done
    echo "$before $(grep -c ${data} /proc/self/mountinfo) $(grep -c by-pod /proc/self/mountinfo)"
    mount -t tmpfs none ${elsewhere}/by-host
    touch ${pod}/go; wait $!; echo "$(grep -c ${data} /proc/self/mountinfo) $(cat ${pod}/upper/file)"
    ls ${pod}/rootfs | wc -l`
  const words = ['-m', '--propagation', 'private', 'sh', '-euc', host, 'sh', join(dir, 'bin/rkt'), JSON.stringify(request)]
  const output = execFileSync('unshare', words, {encoding: 'utf8'})

  assert.deepEqual(output.split('\n'), ['lower', 'inner', '1 1 1', '1', '1 changed', '0', ''])
})

test('a link inside an image leads no mount out of the pod', rootOnly, () => {
  const pod = join(dir, 'linked')
  for (const folder of ['tree/opt', 'upper', 'work', 'rootfs', 'outside/app']) mkdirSync(join(pod, folder), {recursive: true})
  symlinkSync(join(pod, 'outside/app'), join(pod, 'tree/opt/app'))
  const request = {
    argv: ['true'],
    mounts: {
      overlays: [
        {lowers: [join(pod, 'tree')], target: join(pod, 'rootfs'), upper: join(pod, 'upper'), work: join(pod, 'work')},
        {lowers: [join(pod, 'tree'), join(pod, 'outside')], target: join(pod, 'rootfs/opt/app')},
      ],
      root: pod,
    },
    path: '/bin/true',
  }
  const {status, stderr} = spawnSync('unshare', ['-m', join(dir, 'bin/rkt'), JSON.stringify(request)], {encoding: 'utf8'})

  assert.equal(stderr, `cannot open the mount point ${pod}/rootfs/opt/app: not a directory\n`)
  assert.equal(status, 254)
  assert.equal(existsSync(join(pod, 'outside/app/opt')), false)
})
