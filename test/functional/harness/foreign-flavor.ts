/** The flavor of another author (test/fixtures/foreign-flavor) as an image, in the variations that the ABI allows. */
import {execFileSync} from 'node:child_process'
import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {checkout} from './host.ts'
import {buildImage, manifest} from './images.ts'

export interface ForeignOptions {
  /** Announces its pod by `ppid` instead of `pid`. */
  readonly byPpid?: boolean
  /** The annotation's text; null leaves it out. */
  readonly interfaceVersion?: string | null
  /** Entrypoints that this variation offers. */
  readonly entrypoints?: readonly ('attach' | 'enter' | 'gc' | 'run' | 'stop')[]
}

export async function foreignFlavor({
  byPpid = false,
  entrypoints = ['run', 'enter', 'stop', 'gc'],
  interfaceVersion = '6',
}: ForeignOptions = {}): Promise<string> {
  const annotations = [
    ...(interfaceVersion === null ? [] : [{name: 'coreos.com/rkt/stage1/interface-version', value: interfaceVersion}]),
    ...entrypoints.map((name) => ({name: `coreos.com/rkt/stage1/${name}`, value: `/abi-${name}`})),
  ]
  return await buildImage(manifest({annotations, app: null, name: 'example.com/stage1-foreign'}), (rootfs) => {
    const source = join(checkout, 'test/fixtures/foreign-flavor')
    for (const script of ['attach', 'run', 'stop', 'gc']) {
      copyFileSync(join(source, `${script}.sh`), join(rootfs, `abi-${script}`))
      execFileSync('chmod', ['755', join(rootfs, `abi-${script}`)])
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
