import {writeFileSync} from 'node:fs'
import {
  type AcIdentifier,
  checkPortNetworks,
  checkRegistration,
  EngineCommand,
  Flags,
  networkFlags,
  networksOf,
  packageVersion,
  parseAcIdentifier,
  preparationFlags,
  RktError,
  runOptions,
  runSandbox,
  stage1Choice,
  stage1Flags,
} from '@rkt/engine'
import {explained} from '../../failures.ts'
import {parseSandboxPort} from '../../ports.ts'

const {interactive: _interactive, ipc: _ipc, ...names} = networkFlags

/** NAME=VALUE, each name once. */
const pairs = (name: string, description: string) =>
  Flags.custom({
    description,
    multiple: true,
    parse(text, earlier: readonly (readonly [string, string])[]): readonly [string, string] {
      const at = text.indexOf('=')
      if (at < 1) throw new Error(`invalid format of --${name} flag ${JSON.stringify(text)}`)
      const key = text.slice(0, at)
      if (earlier.some(([other]) => other === key)) throw new Error(`key ${JSON.stringify(key)} already set`)
      return [key, text.slice(at + 1)]
    },
  })

const identifier = (text: string): AcIdentifier => {
  try {
    return parseAcIdentifier(text)
  } catch (cause) {
    throw new RktError('RKT_BAD_ARGUMENTS', `error parsing annotation key ${JSON.stringify(text)}`, {cause, exitCode: 1})
  }
}

export default class AppSandbox extends EngineCommand {
  static override description = `The pod begins without apps and runs until it is stopped; this command stays with it as "rkt run" does.
Apps are added, started, stopped and removed with the other commands of "rkt app".`
  static override flags = {
    ...stage1Flags,
    ...names,
    annotation: pairs('annotation', "annotation of the pod (example: '--annotation=foo=bar')"),
    'no-overlay': preparationFlags['no-overlay'],
    port: Flags.custom({
      description: 'ports to expose on the host (requires contained network). Syntax: --port=NAME:PROTO:PODPORT:HOSTIP:HOSTPORT',
      multiple: true,
      parse: parseSandboxPort,
    }),
    'user-annotation': pairs('user-annotation', "user annotation of the pod (example: '--user-annotation=foo=bar')"),
    'user-label': pairs('user-label', "user label of the pod (example: '--user-label=foo=bar')"),
    'uuid-file-save': Flags.string({completes: 'file', description: 'write out pod UUID to specified file'}),
  }
  static override summary = 'Create and run an empty pod application sandbox'
  static override usage = '[--net=NETWORK] [--uuid-file-save=FILE]'

  async run(): Promise<void> {
    const {flags} = await this.parse(AppSandbox)
    this.requireRoot()
    this.requireSystem('a pod whose apps come and go')
    const networks = networksOf(flags)
    const run = runOptions({...flags, interactive: false, ipc: undefined}, networks, this.globals.localConfig)
    const file = flags['uuid-file-save']
    await explained(
      'error creating the sandbox',
      async () => {
        checkPortNetworks(flags, networks)
        checkRegistration(flags, networks)
        await using engine = await this.openEngine()
        await runSandbox(engine, {
          annotations: flags.annotation.map(([name, value]) => ({name: identifier(name), value})),
          overlay: !flags['no-overlay'],
          ports: flags.port,
          run,
          stage1: stage1Choice(flags),
          userAnnotations: flags['user-annotation'].length > 0 ? Object.fromEntries(flags['user-annotation']) : undefined,
          userLabels: flags['user-label'].length > 0 ? Object.fromEntries(flags['user-label']) : undefined,
          version: packageVersion(),
          ...(file !== undefined && {created: ({uuid}) => writeFileSync(file, uuid, {mode: 0o644})}),
        })
      },
      1,
    )
  }
}
