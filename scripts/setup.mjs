/**
 * Makes a fresh checkout able to build, show and test itself. Runs on Node 20 with no dependencies; everything after it runs on the
 * Node that it installs. Says what it does, does nothing that is done already, and names what is missing in one sentence.
 *
 *   node scripts/setup.mjs [--build] [--test] [--guest] [--bench]
 *
 * --build   builds afterwards (scripts/build.ts)
 * --test    also installs the programs that tests run in pods
 * --guest   also installs what boots a virtual machine for tests
 * --bench   also installs what the benchmarks compare with
 */
import {spawnSync} from 'node:child_process'
import {accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync} from 'node:fs'
import {delimiter, join, resolve} from 'node:path'

/** What the user can mend, as one sentence. */
class SetupError extends Error {}

const checkout = resolve(import.meta.dirname, '..')
const flags = new Set(process.argv.slice(2))
const startsPods = flags.has('--test') || flags.has('--bench') || ['bench', 'demo'].includes(process.env.npm_lifecycle_event ?? '')

/** What pods in tests run, and what makes archives of every compression. */
const testPackages = {
  'apache2-utils': 'htpasswd',
  'busybox-static': 'busybox',
  bzip2: 'bzip2',
  'containernetworking-plugins': '/usr/lib/cni/ptp',
  curl: 'curl',
  'dnsmasq-base': 'dnsmasq',
  'docker-registry': 'docker-registry',
  gnupg: 'gpg',
  iperf3: 'iperf3',
  iproute2: 'ip',
  iptables: 'iptables-nft',
  nftables: 'nft',
  openssl: 'openssl',
  passt: 'pasta',
  'redis-server': 'redis-server',
  skopeo: 'skopeo',
  slirp4netns: 'slirp4netns',
  socat: 'socat',
  systemd: 'systemd-socket-activate',
  uidmap: 'newuidmap',
  umoci: 'umoci',
  'util-linux': 'unshare',
  'xz-utils': 'xz',
  zstd: 'zstd',
}
const guestPackages = {
  apparmor: 'apparmor_parser',
  dbus: 'dbus-daemon',
  kmod: 'depmod',
  'qemu-system-x86': 'qemu-system-x86_64',
  'systemd-container': 'machinectl',
}
const benchPackages = {iperf3: 'iperf3', podman: 'podman'}

try {
  const problems = [...toolProblems(), ...(startsPods ? podProblems() : [])]
  if (problems.length > 0) give(problems)
  installNodeModules()
  buildTerminals()
  if (flags.has('--test')) {
    installPackages(testPackages)
    buildCnitool()
  }
  if (flags.has('--guest')) installPackages(guestPackages)
  if (flags.has('--test')) installPythonClient()
  if (flags.has('--bench') || process.env.npm_lifecycle_event === 'bench') installPackages({'busybox-static': 'busybox', ...benchPackages})
  if (flags.has('--build'))
    run(join(checkout, 'node_modules/.bin/node'), ['scripts/run.mjs', 'scripts/build.ts'], 'the build failed (its own message is above)')
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  give([error.message])
}

/** @param {string[]} problems */
function give(problems) {
  for (const problem of problems) console.error(`setup: ${problem}`)
  process.exit(1)
}

function say(/** @type {string} */ text) {
  console.log(`setup: ${text}`)
}

function toolProblems() {
  const problems = []
  if (process.platform !== 'linux')
    problems.push(`rkt runs on Linux only, and this is ${process.platform}; use a Linux machine or a virtual one.`)
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20)
    problems.push(`Node ${process.versions.node} is too old to start the set-up; install Node 20 or newer (https://nodejs.org).`)
  if (!find('npm')) problems.push('npm is missing; install it together with Node (Debian: apt-get install npm).')
  problems.push(...rustProblems())
  if (!find('cc')) problems.push('cc, a C compiler, is missing; install one (Debian: apt-get install gcc libc6-dev).')
  const free = statfsSync(checkout)
  if (free.bavail * free.bsize < 2 * 2 ** 30) {
    problems.push(`${checkout} has less than 2 GiB of free disk space, which the Rust build needs; free some.`)
  }
  return problems
}

function rustProblems() {
  if (!find('cargo')) return ['cargo is missing; install Rust 1.88 or newer (https://rustup.rs, or Debian: apt-get install rustup).']
  const answer = spawnSync('rustc', ['--version'], {cwd: checkout, encoding: 'utf8'})
  const [, major, minor] = /^rustc (\d+)\.(\d+)/.exec(answer.stdout ?? '') ?? []
  if (major === undefined) return ['rustc does not answer "rustc --version"; install Rust 1.88 or newer (https://rustup.rs).']
  if (Number(major) === 1 && Number(minor) < 88)
    return [`rustc ${major}.${minor} is too old; update Rust to 1.88 or newer (rustup update).`]
  return []
}

/** What starting real pods needs: asked of the kernel by trying it, in namespaces that end at once. */
function podProblems() {
  if (process.getuid?.() !== 0) return ['pods need root and this user is not; run the same command as root (sudo npm ...).']
  if (!find('unshare')) return ['unshare is missing; install util-linux (Debian: apt-get install util-linux).']
  const tries = {
    'new mount, pid, network, ipc and uts namespaces': 'exit 0',
    'an overlay mount (overlayfs)':
      'd=$(mktemp -d) && mount -t tmpfs rkt-setup "$d" && cd "$d" && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w rkt-setup m; s=$?; cd /; umount -lR "$d"; rmdir "$d"; exit $s',
    'proc in a pid namespace': 'mount -t proc proc /proc',
  }
  for (const [what, script] of Object.entries(tries)) {
    const answer = spawnSync('unshare', ['--mount', '--pid', '--fork', '--net', '--ipc', '--uts', 'sh', '-c', script], {encoding: 'utf8'})
    if (answer.status !== 0) {
      const reason = answer.stderr.trim().split('\n').at(-1) || `status ${answer.status}`
      return [`the kernel refuses ${what} (${reason}); use a kernel that has it, or a container that is allowed to (--privileged).`]
    }
  }
  return []
}

/** npm ci, when what lies in node_modules is not what package-lock.json says. */
function installNodeModules() {
  if (installedAsLocked()) return
  say('installing the npm dependencies (npm ci) ...')
  run(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    'npm could not install the dependencies; is the registry reachable?',
  )
  if (!existsSync(join(checkout, 'node_modules/.bin/node'))) {
    throw new SetupError(`npm has no Node 24 for this machine (${process.arch}); rkt is built on x64 and arm64.`)
  }
}

function installedAsLocked() {
  const wanted = lockedPackages('package-lock.json')
  const installed = lockedPackages('node_modules/.package-lock.json')
  if (!wanted || !installed || !existsSync(join(checkout, 'node_modules/.bin/node'))) return false
  for (const [path, {link, optional, version}] of Object.entries(wanted)) {
    if (path === '' || !path.startsWith('node_modules/') || link) continue
    const found = installed[path]
    if (found ? found.version !== version : !optional) return false
  }
  return true
}

/** @returns {Record<string, {link?: boolean, optional?: boolean, version?: string}> | null} */
function lockedPackages(/** @type {string} */ path) {
  try {
    return JSON.parse(readFileSync(join(checkout, path), 'utf8')).packages
  } catch {
    return null // absent or cut off by an interrupted install: both mean "install"
  }
}

/** node-pty gives tests their terminals. It is optional, and npm runs no install script that nobody approved: built here, by name. */
function buildTerminals() {
  const directory = join(checkout, 'node_modules/node-pty')
  if (!existsSync(directory) || existsSync(join(directory, 'build/Release/pty.node'))) return
  const missing = ['c++', 'make', 'python3'].filter((tool) => !find(tool))
  const without = 'tests that need a terminal will be skipped'
  if (missing.length > 0)
    return say(`node-pty needs ${missing.join(', ')} to be built; ${without} (Debian: apt-get install g++ make python3).`)
  say('building node-pty ...')
  const answer = spawnSync('npm', ['rebuild', 'node-pty', '--loglevel=error'], {cwd: checkout, encoding: 'utf8'})
  if (!existsSync(join(directory, 'build/Release/pty.node'))) {
    const reason = `${answer.stdout}${answer.stderr}`.trim().split('\n').at(-1)
    say(`node-pty could not be built (${reason}); ${without}.`)
  }
}

/** libcni's own driver of network plugins, with which tests call ours. Optional: it needs Go and its module proxy. */
function buildCnitool() {
  const directory = join(checkout, '.cache/tools')
  if (existsSync(join(directory, 'cnitool'))) return
  if (!find('go')) return say('Go is missing; tests that call network plugins by cnitool will be skipped (Debian: apt-get install golang).')
  say('building cnitool ...')
  const tool = 'github.com/containernetworking/cni/cnitool@v1.3.1'
  const env = {...process.env, CGO_ENABLED: '0', GOBIN: directory}
  const answer = spawnSync('go', ['install', tool], {cwd: '/', encoding: 'utf8', env})
  if (answer.status !== 0) {
    const reason = (answer.error?.message ?? answer.stderr).trim().split('\n').at(-1)
    say(`cnitool could not be built (${reason}); tests that call network plugins by it will be skipped.`)
  }
}

/** @param {Record<string, string>} packages Debian package to a program that shows it is there */
function installPackages(packages) {
  const missing = Object.entries(packages).flatMap(([name, program]) => (find(program) ? [] : [name]))
  if (missing.length === 0) return
  const list = missing.join(' ')
  if (!find('apt-get'))
    throw new SetupError(`tests need the programs of the Debian packages ${list}; install your distribution's packages of them.`)
  if (process.getuid?.() !== 0)
    throw new SetupError(`tests need Debian packages that only root can install; run: sudo apt-get install ${list}`)
  say(`installing Debian packages: ${list} ...`)
  withoutStartingServices(() => {
    const env = {...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1'}
    const apt = (/** @type {string[]} */ args) =>
      spawnSync('apt-get', ['-qq', ...args], {encoding: 'utf8', env, stdio: ['ignore', 'ignore', 'pipe']})
    apt(['update'])
    const answer = apt(['install', '--yes', '--no-install-recommends', ...missing])
    if (answer.status !== 0) throw new SetupError(`apt-get could not install ${list}: ${answer.stderr.trim().split('\n').at(-1)}`)
    if (missing.includes('redis-server') && existsSync('/run/systemd/system'))
      spawnSync('systemctl', ['disable', '--quiet', 'redis-server'])
  })
}

/** gRPC for Python, with protoc: tests have a client of the API service in another language than ours. */
function installPythonClient() {
  const directory = join(checkout, '.cache/python')
  /** Of PyPI, with their versions. */
  const pythonPackages = {
    grpcio: '1.85.3',
    'grpcio-health-checking': '1.85.1',
    'grpcio-reflection': '1.85.1',
    'grpcio-tools': '1.85.1',
  }
  const wanted = Object.entries(pythonPackages).map(([name, version]) => `${name}==${version}`)
  const stamp = join(directory, 'installed')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted.join('\n')) return
  say(`installing Python packages: ${wanted.join(' ')} ...`)
  rmSync(directory, {force: true, recursive: true})
  if (spawnSync('python3', ['-m', 'venv', directory]).status !== 0) {
    throw new SetupError('tests need python3 with venv; install both (Debian: apt-get install python3 python3-venv).')
  }
  const options = ['--quiet', '--disable-pip-version-check', '--only-binary', ':all:']
  run(join(directory, 'bin/pip'), ['install', ...options, ...wanted], 'pip could not install them; is the registry reachable?')
  writeFileSync(stamp, wanted.join('\n'))
}

/** A package's scripts must not leave a daemon running: tests start the program themselves, in a pod. */
function withoutStartingServices(/** @type {() => void} */ install) {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', {mode: 0o755})
  try {
    install()
  } finally {
    if (ours) rmSync(policy)
  }
}

/** @returns {string | undefined} */
function find(/** @type {string} */ program) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return directories
    .map((directory) => resolve(directory, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return statSync(path).isFile()
      } catch {
        return false
      }
    })
}

function run(/** @type {string} */ program, /** @type {string[]} */ args, /** @type {string} */ failure) {
  mkdirSync(join(checkout, '.cache'), {recursive: true})
  const {error, status} = spawnSync(program, args, {cwd: checkout, stdio: 'inherit'})
  if (error ?? status !== 0) throw new SetupError(failure)
}
