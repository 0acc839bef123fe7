/**
 * npm run bench: the promises of speed, measured in pairs. Prints a table and writes all figures to .cache/bench/.
 *
 *   npm run bench                  all of it
 *   npm run bench -- start pod     only these: start, pod, network, import, render, pull
 *   npm run bench -- --pairs=51    more pairs
 */
import {execFileSync, spawnSync} from 'node:child_process'
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {cpus, release} from 'node:os'
import {join, resolve} from 'node:path'
import {parseArgs} from 'node:util'
import {type Comparison, compare} from './pairs.ts'
import {type Peak, peakOf} from './peak.ts'
import {pulling} from './pull.ts'
import {type Throughput, throughput} from './throughput.ts'

const checkout = resolve(import.meta.dirname, '../..')
const rkt = join(checkout, 'bin/rkt')
const {positionals, values} = parseArgs({allowPositionals: true, options: {pairs: {default: '21', type: 'string'}}})

if (process.env.RKT_TEST_NAMESPACES === undefined) enterNamespaces()
else await measure()

/** Pods and podman's state must not stay on the machine: the measuring happens in namespaces of its own, the files in a directory. */
function enterNamespaces(): void {
  mkdirSync(join(checkout, '.cache/bench'), {recursive: true})
  const directory = mkdtempSync(join(checkout, '.cache/bench/run-'))
  const words = ['test/functional/harness/enter.mjs', process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  try {
    const {status} = spawnSync(process.execPath, words, {
      cwd: checkout,
      env: {...process.env, RKT_BENCH_DIRECTORY: directory},
      stdio: 'inherit',
    })
    process.exitCode = status ?? 1
  } finally {
    rmSync(directory, {force: true, recursive: true}) // from here: whatever podman mounted in it went with the namespaces
  }
}

async function measure(): Promise<void> {
  const pairs = Number(values.pairs)
  const directory = process.env.RKT_BENCH_DIRECTORY ?? mkdtempSync('/tmp/bench-')
  const wanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name)
  const comparisons: Comparison[] = []
  const peaks: Record<string, Peak> = {}
  const throughputs: Throughput[] = []
  const show = (comparison: Comparison): void => {
    comparisons.push(comparison)
    const {baseline, name, ratio, subject} = comparison
    console.log(
      `${name.padEnd(34)} ${cell(subject.medianMs)}  ${subject.name.padEnd(22)} ${cell(baseline.medianMs)}  ${baseline.name.padEnd(26)} ${ratio.toFixed(2)}×`,
    )
  }
  const globals = [`--dir=${join(directory, 'data')}`, '--insecure-options=image', `--local-config=${join(directory, 'etc')}`]
  const image = busybox(directory)
  execFileSync(rkt, [...globals, 'fetch', image], {stdio: 'ignore'})
  console.log(`${cpus().length} × ${cpus()[0]?.model}, Linux ${release()}, Node ${process.version}; medians of ${pairs} pairs\n`)
  if (wanted('start')) {
    for (let pod = 0; pod < 5; pod++) execFileSync(rkt, [...globals, 'prepare', '--quiet', 'example.com/busybox'], {stdio: 'ignore'})
    const node = {command: [process.execPath, '-e', '0'], name: 'node -e 0'}
    show(compare('start: version', {command: [rkt, 'version'], name: 'rkt version'}, node, pairs))
    show(compare('start: list of five pods', {command: [rkt, ...globals, 'list'], name: 'rkt list'}, node, pairs))
  }
  if (wanted('pod')) {
    const run = {command: [rkt, ...globals, 'run', '--net=host', 'example.com/busybox', '--exec=/bin/true'], name: 'rkt run (native)'}
    const fly = {...run, command: run.command.toSpliced(-2, 0, '--stage1-name=coreos.com/rkt/stage1-fly:2.0.0'), name: 'rkt run (fly)'}
    const podman = podmanRun(directory, 'host')
    if (podman) show(compare('a pod of true, host network, warm', run, podman, pairs))
    show(compare('a pod of true, by flavor', run, fly, pairs))
  }
  if (wanted('network')) {
    const on = (network: string) => ({
      command: [rkt, ...globals, 'run', `--net=${network}`, 'example.com/busybox', '--exec=/bin/true'],
      name: `--net=${network}`,
    })
    show(compare('a pod of true, by network', on('default'), on('none'), pairs))
    const podman = podmanRun(directory, 'bridge')
    if (podman) show(compare('a pod of true, own network, warm', on('default'), podman, pairs))
    throughputs.push(...throughput(join(checkout, 'dist/stage1'), directory, pairs))
    for (const {byHandGbits, gbits, network, ratio, ratioByCpu} of throughputs) {
      const rates = `${gbits.toFixed(1)} Gbit/s, by hand ${byHandGbits.toFixed(1)}`
      console.log(
        `${`throughput: to a pod on ${network}`.padEnd(34)} ${rates}  ${ratio.toFixed(2)}×, by processor time ${ratioByCpu.toFixed(2)}×`,
      )
    }
  }
  if (wanted('import')) peaks['import of 2 GiB'] = await bigImport(directory, globals)
  if (wanted('render')) show(rendering(directory, globals, Math.min(pairs, 5)))
  if (wanted('pull')) {
    // /tmp is a tmpfs here
    const figures = await pulling(rkt, mkdtempSync('/tmp/bench-pull-'), Math.min(pairs, 3))
    if (figures !== null) {
      show(figures.comparison)
      peaks['fetch of 1.14 GB'] = figures.peak
      console.log(`${'its peak memory'.padEnd(34)} ${(figures.peak.peakBytes / 2 ** 20).toFixed(0)} MiB`)
    }
  }
  const file = join(checkout, '.cache/bench', `${new Date().toISOString().replaceAll(':', '-')}.json`)
  writeFileSync(
    file,
    `${JSON.stringify({comparisons, cpu: cpus()[0]?.model, kernel: release(), node: process.version, peaks, throughputs}, null, 2)}\n`,
  )
  console.log(`\nall figures: ${file}`)
}

function cell(ms: number): string {
  return `${ms.toFixed(1)} ms`.padStart(10)
}

/** The same static busybox for everybody: as an ACI, and as a rootfs tarball for podman. */
function busybox(directory: string): string {
  const layout = join(directory, 'busybox')
  mkdirSync(join(layout, 'rootfs/bin'), {recursive: true})
  copyFileSync('/bin/busybox', join(layout, 'rootfs/bin/busybox'))
  for (const applet of ['sh', 'true']) symlinkSync('busybox', join(layout, 'rootfs/bin', applet))
  const arch = process.arch === 'arm64' ? 'aarch64' : 'amd64'
  const labels = [
    {name: 'version', value: '1.0.0'},
    {name: 'os', value: 'linux'},
    {name: 'arch', value: arch},
  ]
  const app = {exec: ['/bin/true'], group: '0', user: '0'}
  writeFileSync(
    join(layout, 'manifest'),
    JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', app, labels, name: 'example.com/busybox'}),
  )
  execFileSync(rkt, ['image', 'build', layout, join(directory, 'busybox.aci')])
  execFileSync('tar', ['-C', join(layout, 'rootfs'), '-cf', join(directory, 'busybox.tar'), '.'])
  return join(directory, 'busybox.aci')
}

/** podman with storage of its own on the same disk, and limits that this user may set. */
function podmanRun(directory: string, network: 'bridge' | 'host'): {command: string[]; env: NodeJS.ProcessEnv; name: string} | undefined {
  if (spawnSync('podman', ['--version']).status !== 0) {
    console.log('podman is not installed: the comparison with it is left out (apt-get install podman)')
    return undefined
  }
  bindStrayControllers()
  const configuration = join(directory, 'containers.conf')
  writeFileSync(
    configuration,
    '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
  )
  const env = {...process.env, CONTAINERS_CONF: configuration}
  const podman = ['podman', `--root=${join(directory, 'podman')}`, '--runroot=/run/bench-podman', '--storage-driver=overlay']
  const [program = '', ...args] = podman
  execFileSync(program, [...args, 'import', '--quiet', join(directory, 'busybox.tar'), 'localhost/busybox'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return {
    command: [...podman, 'run', '--rm', `--network=${network}`, 'localhost/busybox', '/bin/true'],
    env,
    name: `podman run (${network})`,
  }
}

/** crun runs on no hybrid hierarchy that has a controller: it goes to a v1 mount of these namespaces for as long as they last. */
function bindStrayControllers(): void {
  const unified = '/sys/fs/cgroup/unified/cgroup.controllers'
  if (!existsSync(unified)) return
  for (const controller of readFileSync(unified, 'utf8')
    .trim()
    .split(' ')
    .filter((name) => name !== '')) {
    mkdirSync(`/run/cgroup-${controller}`)
    spawnSync('mount', ['-t', 'cgroup', '-o', controller, 'none', `/run/cgroup-${controller}`])
  }
}

async function bigImport(directory: string, globals: readonly string[]): Promise<Peak> {
  const layout = join(directory, 'big')
  mkdirSync(join(layout, 'rootfs'), {recursive: true})
  writeFileSync(join(layout, 'manifest'), JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/big'}))
  execFileSync('sh', ['-c', 'head -c 2048M /dev/urandom > rootfs/big && tar -cf ../big.aci manifest rootfs && rm -r rootfs'], {cwd: layout})
  const peak = await peakOf([rkt, ...globals, 'fetch', join(directory, 'big.aci')])
  rmSync(join(directory, 'big.aci'))
  const speed = (2048 / (peak.elapsedMs / 1000)).toFixed(0)
  console.log(
    `${'import of 2 GiB (fetch, rendered)'.padEnd(34)} ${cell(peak.elapsedMs)}  ${speed} MiB/s, peak memory ${(peak.peakBytes / 2 ** 20).toFixed(0)} MiB`,
  )
  return peak
}

/** Many small files: fetch reads, hashes, writes the blob and renders; tar only unpacks. */
function rendering(directory: string, globals: readonly string[], pairs: number): Comparison {
  const layout = join(directory, 'many')
  mkdirSync(join(layout, 'rootfs'), {recursive: true})
  writeFileSync(join(layout, 'manifest'), JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/many'}))
  for (let at = 0; at < 10_000; at++) {
    const folder = join(layout, 'rootfs', `${at % 200}`)
    if (!existsSync(folder)) mkdirSync(folder)
    writeFileSync(join(folder, `${at}`), `${at} `.repeat(1 + (at % 2000)))
  }
  const aci = join(directory, 'many.aci')
  execFileSync('tar', ['-C', layout, '-czf', aci, 'manifest', 'rootfs'])
  const unpacked = join(directory, 'unpacked')
  return compare(
    '10,000 files, gzip',
    {
      before: () => {
        spawnSync(rkt, [...globals, 'image', 'rm', 'example.com/many'], {stdio: 'ignore'})
        spawnSync(rkt, [...globals, 'image', 'gc', '--grace-period=0s'], {stdio: 'ignore'})
      },
      command: [rkt, ...globals, 'fetch', aci],
      name: 'rkt fetch (rendered)',
    },
    {
      before: () => {
        rmSync(unpacked, {force: true, recursive: true})
        mkdirSync(unpacked)
      },
      command: ['tar', '-C', unpacked, '-xzf', aci],
      name: 'tar -xzf',
    },
    pairs,
  )
}
