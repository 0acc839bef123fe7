/**
 * Starts a command in namespaces of its own, so that whatever a test leaves goes with them: new mount, pid, net, ipc and uts
 * namespaces, tmpfs on /run, /tmp, /etc/rkt, /var/lib/rkt and /var/lib/cni, a loopback that is up, and a cgroup in every hierarchy.
 *
 *   node test/functional/harness/enter.mjs PROGRAM ARGS...
 *
 * Runs on any Node; the parent outside the namespaces only waits and removes the cgroups.
 */
import {spawn} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs'
import {constants} from 'node:os'
import {dirname, join, resolve} from 'node:path'

const checkout = resolve(import.meta.dirname, '../../..')
const name = `rkt-test-${process.pid}`

/** The directories of this process in each cgroup hierarchy, v1 and v2. */
function ownCgroups() {
  const own = new Map(
    readFileSync('/proc/self/cgroup', 'utf8')
      .trim()
      .split('\n')
      .map((line) => {
        const [, controllers = '', ...path] = line.split(':')
        return [controllers, path.join(':')]
      }),
  )
  const found = []
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root = '', point = ''] = before.split(' ')
    const [type = '', , options = ''] = after.split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const words = options.split(',')
    const key =
      type === 'cgroup2'
        ? ''
        : [...own.keys()].find((controllers) => controllers !== '' && controllers.split(',').every((word) => words.includes(word)))
    const path = key === undefined ? undefined : own.get(key)
    if (path === undefined || !path.startsWith(root)) continue
    found.push(join(point, path.slice(root.length)))
  }
  return found.filter((directory) => existsSync(join(directory, 'cgroup.procs')))
}

function makeCgroups() {
  const made = []
  for (const parent of ownCgroups()) {
    const directory = join(parent, name)
    try {
      mkdirSync(directory)
    } catch (error) {
      console.error(`harness: no cgroup below ${parent}: ${error.message}`)
      continue
    }
    made.push(directory)
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(join(directory, file))) writeFileSync(join(directory, file), readFileSync(join(parent, file)))
    }
  }
  return made
}

function removeCgroup(directory) {
  for (const entry of readdirSync(directory, {withFileTypes: true})) if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  rmdirSync(directory)
}

/** Shell, because it must run before anything of ours: each line is one step, the first that fails ends it. */
function script(cgroups) {
  const inTmp = checkout.startsWith('/tmp/')
  const ownDirectories = ['/etc/rkt', '/var/lib/rkt', '/var/lib/cni']
  // A directory that the host has not must not appear there: its parent is covered by a throw-away layer.
  const missing = ownDirectories.filter((path) => !existsSync(path))
  const covered = [...new Set(missing.map((path) => dirname(path)))]
  const own = [
    ...covered.flatMap((parent) => [
      `mkdir -p /run/layers${parent}/u /run/layers${parent}/w`,
      `mount -t overlay -o lowerdir=${parent},upperdir=/run/layers${parent}/u,workdir=/run/layers${parent}/w rkt-test ${parent}`,
    ]),
    ...missing.map((path) => `mkdir ${path}`),
    ...ownDirectories.map((path) => `mount -t tmpfs -o mode=755 rkt-test ${path}`),
  ]
  return [
    'set -e',
    ...cgroups.map((directory) => `echo $$ > '${join(directory, 'cgroup.procs')}'`),
    'mount -t tmpfs -o mode=755 rkt-test /run',
    'mkdir /run/tmp /run/lock',
    'mount -t tmpfs -o mode=1777 rkt-test /run/tmp',
    ...(inTmp ? [`mkdir -p '/run/tmp${checkout.slice(4)}'`, `mount --bind '${checkout}' '/run/tmp${checkout.slice(4)}'`] : []),
    'mount --move /run/tmp /tmp',
    ...own,
    'ip link set lo up 2>/dev/null || true',
    'hostname rkt-test',
    `cd '${checkout}'`,
    'set +e',
    // Not exec: pid 1 here is the shell, which reaps whatever a killed pod leaves behind.
    '"$@"',
    'exit $?',
  ].join('\n')
}

const cgroups = makeCgroups()
const options = ['--mount', '--pid', '--fork', '--mount-proc', '--net', '--ipc', '--uts', '--kill-child', '--propagation=private']
const env = {...process.env, RKT_TEST_NAMESPACES: name, TMPDIR: '/tmp'}
const child = spawn('unshare', [...options, 'sh', '-c', script(cgroups), 'sh', ...process.argv.slice(2)], {env, stdio: 'inherit'})
process.on('SIGINT', () => {})
for (const signal of ['SIGHUP', 'SIGTERM']) process.on(signal, () => child.kill('SIGKILL'))
child.on('exit', (status, signal) => {
  process.exitCode = signal ? 128 + constants.signals[signal] : (status ?? 1)
  const until = Date.now() + 5000
  const remove = () => {
    const left = cgroups.filter((directory) => {
      try {
        removeCgroup(directory)
        return false
      } catch {
        return existsSync(directory) // busy: the last processes of the namespace are still ending
      }
    })
    if (left.length === 0) return
    if (Date.now() < until) return void setTimeout(remove, 50)
    console.error(`harness: these cgroups could not be removed: ${left.join(' ')}`)
    process.exitCode ||= 1
  }
  remove()
})
