/** Runs the conformance images under a flavor and says which rows of the table hold. */

import {execFileSync} from 'node:child_process'
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {arch, buildImage, checkout, eventually, type Host, manifest, type Result, Running, rktProgram} from '../functional/harness/index.ts'
import {rows} from './rows.ts'

/** Why a row does not hold; undefined when it does. */
export type Verdicts = ReadonlyMap<string, string | undefined>

const limit = 2 ** 30

function validator(): string {
  const directory = join(checkout, '.cache/fixtures')
  mkdirSync(directory, {recursive: true})
  const program = join(directory, `validator-${process.pid}`)
  if (!existsSync(program)) {
    execFileSync('cc', ['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, join(checkout, 'test/conformance/validator.c')])
  }
  return program
}

/** The two images, as appc's own validator has them. */
export async function images(): Promise<{main: string; sidekick: string; remove: () => void}> {
  const program = validator()
  const directory = mkdtempSync('/tmp/conformance-')
  const fill = (rootfs: string): void => {
    copyFileSync(program, join(rootfs, 'ace-validator'))
    mkdirSync(join(rootfs, 'opt/acvalidator'), {recursive: true})
  }
  const labels = ['version', 'os', 'arch'].map((name, at) => ({name, value: ['0.8.11', 'linux', arch][at] ?? ''}))
  const build = async (name: string, app: Record<string, unknown>, rest: Record<string, unknown> = {}): Promise<string> => {
    const common = {group: '0', mountPoints: [{name: 'database', path: '/db', readOnly: false}], user: '0'}
    const text = manifest({app: {...common, ...app}, labels, name: `coreos.com/ace-validator-${name}`, ...rest})
    return await buildImage(text, fill, join(directory, `${name}.aci`))
  }
  const handler = (name: string, mode: string) => ({exec: ['/ace-validator', mode], name})
  const main = await build(
    'main',
    {
      environment: [{name: 'IN_ACE_VALIDATOR', value: 'correct'}],
      eventHandlers: [handler('pre-start', 'prestart'), handler('post-stop', 'poststop')],
      exec: ['/ace-validator', 'main'],
      isolators: [{name: 'resource/memory', value: {limit: '1Gi', request: '1Gi'}}],
      ports: [{name: 'www', port: 80, protocol: 'tcp'}],
      workingDirectory: '/opt/acvalidator',
    },
    {
      annotations: [
        {name: 'authors', value: 'Ada'},
        {name: 'homepage', value: 'https://example.com'},
        {name: 'lorem', value: 'ipsum'},
      ],
    },
  )
  const sidekick = await build('sidekick', {exec: ['/ace-validator', 'sidekick']})
  return {
    main,
    remove: () => {
      rmSync(directory, {recursive: true})
      rmSync(program, {force: true})
    },
    sidekick,
  }
}

/** Runs everything under a flavor, by the option that names it (none: the default). */
export async function check(host: Host, flavorOptions: readonly string[]): Promise<Verdicts> {
  const {main, remove, sidekick} = await images()
  await using service = new Running([rktProgram, ...host.globals, 'metadata-service'])
  const found = new Map<string, string | undefined>()
  const bodies = new Map<string, string>()
  const hear = ({stdout}: Result): void => {
    for (const [, id = '', yes, reason] of stdout.matchAll(/\brow (\w+) (?:(yes)|no (.*))$/gm)) found.set(id, yes ? undefined : reason)
    for (const [, id = '', hex = ''] of stdout.matchAll(/\bbody (\w+) ([\da-f]*)$/gm)) bodies.set(id, Buffer.from(hex, 'hex').toString())
  }
  const saved = host.path('uuid')
  const volume = '--volume=database,kind=empty'
  const start = (...apps: string[]): Running =>
    host.start(['run', ...flavorOptions, '--net=host', `--uuid-file-save=${saved}`, volume, ...apps])
  // The main process waits for it, so that there is something to look at.
  const release = (): void => {
    const volumeDirectory = join(host.dataDir, 'pods/run', readFileSync(saved, 'utf8'), 'sharedVolumes/database')
    if (existsSync(volumeDirectory)) writeFileSync(join(volumeDirectory, 'looked'), '')
  }
  try {
    await eventually(() => existsSync('/run/rkt/metadata-svc.sock') || service.ended, 'the metadata service')
    const pod = start('--mds-register', main, '--annotation=lorem=replaced', '--annotation=added=last', sidekick)
    found.set('E6', await memoryLimitOf(pod))
    release()
    const both = await pod.exit
    hear(both)
    if (/only supports 1 app/.test(both.stderr)) {
      for (const image of [main, sidekick]) hear(await start(image).exit)
    }
    hear(await start(sidekick, '--name=other', '--readonly-rootfs=true', '--exec=/ace-validator', '--', 'read-only').exit)
    hear(await start(sidekick, '--name=other', '--supplementary-gids=501,502', '--exec=/ace-validator', '--', 'identity').exit)
    judgeBodies(bodies, found)
  } finally {
    service.kill()
    await service.exit
    remove()
  }
  return new Map(rows.map(({id}) => [id, found.has(id) ? found.get(id) : 'not given']))
}

/** What is wrong with the memory limit of the main process, looked at from outside while it runs. */
async function memoryLimitOf(pod: Running): Promise<string | undefined> {
  const seen = await eventually(() => {
    if (pod.ended) return 'the pod has ended'
    const pid = readdirSync('/proc').find((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8') === '/ace-validator\0main\0'
      } catch {
        return false
      }
    })
    return pid === undefined ? false : limitOf(Number(pid))
  }, 'the main process')
  return seen === String(limit) ? undefined : seen
}

function limitOf(pid: number): string {
  try {
    const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')
    const [version1] = lines.filter((line) => line.split(':')[1]?.split(',').includes('memory'))
    const path = (version1 ?? lines.find((line) => line.startsWith('0::')) ?? '').split(':').slice(2).join(':')
    const files = version1 === undefined ? [`/sys/fs/cgroup${path}/memory.max`] : [`/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`]
    const [file] = files.filter((name) => existsSync(name))
    return file === undefined ? 'no file of a limit' : readFileSync(file, 'utf8').trim()
  } catch (error) {
    return (error as Error).message
  }
}

/** The rows that are about what a body says. */
function judgeBodies(bodies: ReadonlyMap<string, string>, found: Map<string, string | undefined>): void {
  const judge = (id: string, so: (body: string) => boolean): void => {
    const body = bodies.get(id)
    if (body === undefined) return
    try {
      found.set(id, so(body) ? undefined : `it says ${body.slice(0, 200)}`)
    } catch (error) {
      found.set(id, (error as Error).message)
    }
  }
  const pod = JSON.parse(bodies.get('D1') ?? '{}')
  const app = pod.apps?.find(({name}: {name: string}) => name === 'ace-validator-main')
  judge('D1', () => pod.acKind === 'PodManifest' && app !== undefined)
  judge('D3', (body) => JSON.stringify(JSON.parse(body)) === JSON.stringify(pod.annotations ?? null))
  judge('D4', (body) => JSON.parse(body).acKind === 'ImageManifest')
  judge('D5', (body) => body === app?.image.id)
  judge('D6', (body) => {
    const names = JSON.parse(body).map(({name, value}: {name: string; value: string}) => `${name}=${value}`)
    return names.join() === 'authors=Ada,homepage=https://example.com,lorem=replaced,added=last'
  })
}
