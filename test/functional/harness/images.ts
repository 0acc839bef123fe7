/**
 * Images of real programs, built by `rkt image build` once a suite: busybox, redis with its libraries, and small C programs.
 * Each function answers the path of an ACI.
 */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {checkout, rktProgram} from './host.ts'
import {runProgram} from './processes.ts'

const cache = '/tmp/rkt-fixtures'
const compiled = join(checkout, '.cache/fixtures')

/** A manifest as JSON; what a test does not say is sensible. */
export interface ManifestOptions {
  readonly name: string
  readonly version?: string | null
  readonly app?: Record<string, unknown> | null
  readonly labels?: readonly {readonly name: string; readonly value: string}[]
  readonly [field: string]: unknown
}

export const arch = process.arch === 'arm64' ? 'aarch64' : 'amd64'

export function manifest({app, labels, name, version = '1.0.0', ...rest}: ManifestOptions): string {
  return JSON.stringify({
    acKind: 'ImageManifest',
    acVersion: '0.8.11',
    name,
    labels: labels ?? [
      ...(version === null ? [] : [{name: 'version', value: version}]),
      {name: 'os', value: 'linux'},
      {name: 'arch', value: arch},
    ],
    ...(app === null ? {} : {app: {exec: ['/bin/sh'], group: '0', user: '0', ...app}}),
    ...rest,
  })
}

/** Builds an ACI out of a manifest and what `fill` puts into the rootfs. */
export async function buildImage(text: string, fill: (rootfs: string) => void, to?: string): Promise<string> {
  mkdirSync(cache, {recursive: true})
  const layout = mkdtempSync(join(cache, 'layout-'))
  try {
    writeFileSync(join(layout, 'manifest'), text)
    mkdirSync(join(layout, 'rootfs'), {mode: 0o755})
    fill(join(layout, 'rootfs'))
    const file = to ?? join(cache, `${basename(layout)}.aci`)
    const {status, stderr, stdout} = await runProgram([rktProgram, 'image', 'build', layout, `${layout}.aci`])
    assert.equal(status, 0, `rkt image build: ${stdout}${stderr}`)
    renameSync(`${layout}.aci`, file)
    return file
  } finally {
    rmSync(layout, {recursive: true})
  }
}

/** One image a suite, whoever asks first builds it. */
async function once(name: string, build: (to: string) => Promise<string>): Promise<string> {
  const file = join(cache, `${name}.aci`)
  return existsSync(file) ? file : await build(file)
}

const applets =
  'cat cp cut date dd df echo env false find grep head hostname id ip kill ln ls mkdir mkfifo mknod mount mv nc od ps pwd readlink rm sed seq sh sleep sort stat sync tail tee test touch tr true tty umount uname wc wget xargs'

/** Puts a static busybox and its applets into /bin. */
export function addBusybox(rootfs: string): void {
  mkdirSync(join(rootfs, 'bin'), {recursive: true})
  for (const directory of ['etc', 'tmp', 'proc', 'sys', 'dev']) mkdirSync(join(rootfs, directory), {recursive: true})
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'))
  for (const applet of applets.split(' ')) symlinkSync('busybox', join(rootfs, 'bin', applet))
  writeFileSync(
    join(rootfs, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\napp:x:1000:1001:app:/home/app:/bin/sh\n',
  )
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\ndaemon:x:1:\napp:x:1001:\n')
}

/** Debian's busybox-static: `example.com/busybox:1.0.0`, which runs a shell. */
export async function busybox(): Promise<string> {
  return await once('busybox', (to) =>
    buildImage(manifest({app: {exec: ['/bin/sh', '-c', 'echo started']}, name: 'example.com/busybox'}), addBusybox, to),
  )
}

/** Debian's redis-server and redis-cli with the libraries that ldd names: `example.com/redis`. */
export async function redis(): Promise<string> {
  const exec = ['/usr/bin/redis-server', '--port', '6379', '--save', '', '--daemonize', 'no', '--dir', '/tmp']
  const fill = (rootfs: string): void => {
    addBusybox(rootfs)
    for (const program of ['/usr/bin/redis-server', '/usr/bin/redis-cli']) addWithLibraries(rootfs, program)
  }
  return await once('redis', (to) => buildImage(manifest({app: {exec}, name: 'example.com/redis'}), fill, to))
}

/** Copies a program and every library that the loader would give it. */
export function addWithLibraries(rootfs: string, program: string): void {
  const needed = execFileSync('ldd', [program], {encoding: 'utf8'})
  const libraries = [...needed.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path = '']) => path)
  for (const file of [program, ...libraries]) {
    mkdirSync(dirname(join(rootfs, file)), {recursive: true})
    copyFileSync(file, join(rootfs, file))
  }
}

/** Compiles one of test/fixtures/programs statically, once for its source text, and answers the path of the executable. */
export function compileProgram(name: string): string {
  const source = join(checkout, 'test/fixtures/programs', `${name}.c`)
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const executable = join(compiled, `${name}-${digest}`)
  if (existsSync(executable)) return executable
  mkdirSync(compiled, {recursive: true})
  const temporary = `${executable}.${process.pid}`
  execFileSync('cc', ['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-o', temporary, source])
  renameSync(temporary, executable)
  return executable
}

/** busybox and one C program as /bin/NAME: `example.com/NAME`. */
export async function program(name: string): Promise<string> {
  const fill = (rootfs: string): void => {
    addBusybox(rootfs)
    copyFileSync(compileProgram(name), join(rootfs, 'bin', name))
  }
  return await once(`program-${name}`, (to) => buildImage(manifest({app: {exec: [`/bin/${name}`]}, name: `example.com/${name}`}), fill, to))
}
