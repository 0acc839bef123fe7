/** The flavor of another author (test/fixtures/foreign-flavor) as an image, in the variations that the ABI allows. */
import {execFileSync} from 'node:child_process'
import {chmodSync, copyFileSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {checkout} from './host.ts'
import {buildImage, manifest} from './images.ts'

export interface ForeignOptions {
  /** Announces its pod by `ppid` instead of `pid`. */
  readonly byPpid?: boolean
  /** The annotation's text; null leaves it out. */
  readonly interfaceVersion?: string | null
  /** Entrypoints that this variation offers. */
  readonly entrypoints?: readonly Entrypoint[]
}

const ofApps = ['app/add', 'app/start', 'app/stop', 'app/rm'] as const
export type Entrypoint = 'attach' | 'enter' | 'gc' | 'run' | 'stop' | (typeof ofApps)[number]

const file = (entrypoint: Entrypoint): string => `abi-${entrypoint.replace('/', '-')}`

export async function foreignFlavor({
  byPpid = false,
  entrypoints = ['run', 'enter', 'stop', 'gc'],
  interfaceVersion = '6',
}: ForeignOptions = {}): Promise<string> {
  const annotations = [
    ...(interfaceVersion === null ? [] : [{name: 'coreos.com/rkt/stage1/interface-version', value: interfaceVersion}]),
    ...entrypoints.map((name) => ({name: `coreos.com/rkt/stage1/${name}`, value: `/${file(name)}`})),
  ]
  return await buildImage(manifest({annotations, app: null, name: 'example.com/stage1-foreign'}), (rootfs) => {
    const source = join(checkout, 'test/fixtures/foreign-flavor')
    for (const script of ['attach', 'run', 'stop', 'gc', ...ofApps] as const) {
      copyFileSync(join(source, `${script.replace(/\/.*/, '')}.sh`), join(rootfs, file(script)))
      chmodSync(join(rootfs, file(script)), 0o755)
    }
    copyFileSync(join(source, 'record.sh'), join(rootfs, 'record.sh'))
    for (const [program, name] of [
      ['hold', 'hold'],
      ['enter', 'abi-enter'],
    ] as const) {
      execFileSync('cc', ['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-o', join(rootfs, name), join(source, `${program}.c`)])
    }
    mkdirSync(join(rootfs, 'etc'))
    writeFileSync(join(rootfs, 'etc/hosts-fallback'), '127.0.0.1 localhost\n')
    if (byPpid) writeFileSync(join(rootfs, 'by-ppid'), '')
  })
}
