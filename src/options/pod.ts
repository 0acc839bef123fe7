/** The options of `run`, `prepare` and `run-prepared` that concern the pod as a whole, and what they come to. */

import {existsSync} from 'node:fs'
import {parseExposedPort, parseVolume} from '../appc/index.ts'
import {Flags, type FlagValues} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {callerEnvironment} from '../native/index.ts'
import {
  type EnvironmentRequest,
  type NameConfig,
  nameConfig,
  parseNetworks,
  parseVariable,
  type RunOptions,
  readVariables,
  requireMetadataService,
  type Variable,
} from '../pod/index.ts'
import {scope} from '../privileges.ts'
import type {Stage1Choice} from '../stage1/index.ts'

const stage1Kinds = ['from-dir', 'hash', 'name', 'path', 'url'] as const

const stage1Flag = (description: string, completes?: 'file') => Flags.string({description, multiple: true, ...(completes && {completes})})

export const stage1Flags = {
  'stage1-from-dir': stage1Flag("file name of a stage1 image in the stage1 images' directory"),
  'stage1-hash': stage1Flag('hash of the stage1 image in the store'),
  'stage1-name': stage1Flag('name of the stage1 image, with a version or without'),
  'stage1-path': stage1Flag('path of a stage1 image, absolute or relative', 'file'),
  'stage1-url': stage1Flag('URL of a stage1 image'),
}

/** The one stage1 image that was named, if one was. */
export function stage1Choice(flags: FlagValues<typeof stage1Flags>): Stage1Choice | undefined {
  const given = stage1Kinds.flatMap((kind) => flags[`stage1-${kind}`].map((value) => ({kind, value})))
  const [first, second] = given
  if (!first || !second) return first
  const message =
    first.kind === second.kind
      ? `--stage1-${first.kind} already used`
      : `flags --stage1-${second.kind} and --stage1-${first.kind} are mutually exclusive`
  throw new RktError('RKT_BAD_STAGE1_FLAGS', message)
}

const policies = ['new', 'never', 'update'] as const
type PullPolicy = (typeof policies)[number]

export const pullFlags = {
  'no-store': Flags.boolean({deprecated: 'please use --pull-policy=update', description: 'fetch images, ignoring the local store'}),
  'pull-policy': Flags.custom({
    default: 'new',
    defaultText: '"new"',
    description: 'when to pull an image: new, never or update',
    parse(text): PullPolicy {
      const policy = policies.find((each) => each === text)
      if (!policy) throw new Error(`unknown pull policy ${JSON.stringify(text)}: should be one of "new", "never", "update"`)
      return policy
    },
    values: policies,
  }),
  'store-only': Flags.boolean({deprecated: 'please use --pull-policy=never', description: 'use only available images in the store'}),
}

export function pullPolicy(flags: FlagValues<typeof pullFlags>): PullPolicy {
  if (flags['store-only'] && flags['no-store']) throw new RktError('RKT_BAD_PULL_POLICY', 'both --store-only and --no-store specified')
  if (flags['store-only']) return 'never'
  return flags['no-store'] ? 'update' : (flags['pull-policy'] as PullPolicy)
}

export const networkFlags = {
  dns: Flags.list({description: 'name servers to write in /etc/resolv.conf; "host" uses the file of the host, "none" writes none'}),
  'dns-domain': Flags.string({description: 'DNS domain to write in /etc/resolv.conf'}),
  'dns-opt': Flags.string({description: 'DNS options to write in /etc/resolv.conf', multiple: true}),
  'dns-search': Flags.string({description: 'DNS search domains to write in /etc/resolv.conf', multiple: true}),
  hostname: Flags.string({description: 'the pod\'s hostname ("rkt-$POD_UUID" when not given)'}),
  'hosts-entry': Flags.string({description: 'entries to add to /etc/hosts: IP=HOST; "host" uses the file of the host', multiple: true}),
  interactive: Flags.boolean({description: "run the pod interactively: the app's stdio is the terminal"}),
  ipc: Flags.string({
    description: 'whether to stay in the host IPC namespace: auto, private or parent',
    values: ['auto', 'private', 'parent'],
  }),
  'mds-register': Flags.boolean({description: 'register the pod with the metadata service'}),
  net: Flags.optional({
    bare: 'default',
    description: "the pod's networks: none, host, default, or names of configured networks, each with arguments behind a colon",
    list: true,
  }),
}

export function networksOf({net}: Pick<FlagValues<typeof networkFlags>, 'net'>): readonly string[] {
  return parseNetworks(net ?? [])
}

/** Refuses ports of a pod that has no network of its own. */
export function checkPortNetworks({port}: {readonly port: readonly unknown[]}, networks: readonly string[]): void {
  for (const network of ['none', 'host'])
    if (port.length > 0 && networks.includes(network))
      throw new RktError('RKT_BAD_ARGUMENTS', `--port flag does not work with '${network}' networking`)
}

/** Refuses a pod that cannot be registered with the metadata service: it has no network, or the service is not there. */
export function checkRegistration(flags: Pick<FlagValues<typeof networkFlags>, 'mds-register'>, networks: readonly string[]): void {
  if (!flags['mds-register']) return
  if (networks.includes('none')) {
    const message = "--mds-register flag does not work with --net=none. Please use 'host', 'default' or an equivalent network"
    throw new RktError('RKT_BAD_ARGUMENTS', message)
  }
  requireMetadataService()
}

/** What the pod is run with; it says so before anything starts when the options do not fit together. */
export function runOptions(
  flags: FlagValues<typeof networkFlags>,
  networks: readonly string[],
  localConfig: string | undefined,
): RunOptions {
  const {hostname, interactive, ipc, 'mds-register': register} = flags
  if (hostname !== undefined && !/^(?:[\w.-]{1,64})?$/.test(hostname)) {
    const hint = 'Use up to 64 letters, digits, dashes, underscores and dots.'
    throw new RktError('RKT_BAD_ARGUMENTS', `${JSON.stringify(hostname)} is no name for a host`, {hint})
  }
  return {hostname, interactive, ipc, localConfig, names: names(flags), networks, register}
}

function names(flags: FlagValues<typeof networkFlags>): NameConfig {
  return nameConfig({
    domain: flags['dns-domain'],
    hostsEntries: flags['hosts-entry'],
    options: flags['dns-opt'],
    search: flags['dns-search'],
    servers: flags.dns,
  })
}

export const preparationFlags = {
  'inherit-env': Flags.boolean({description: 'inherit all environment variables not set by apps'}),
  'no-overlay': Flags.boolean({description: 'disable overlay filesystem'}),
  'pod-manifest': Flags.string({
    completes: 'file',
    description: 'the path to the pod manifest. If it is given, images, volumes, mounts, ports and environments come from it alone',
  }),
  port: Flags.custom({
    description: 'ports to expose on the host (requires contained network). Syntax: --port=NAME:[HOSTIP:]HOSTPORT',
    multiple: true,
    parse: parseExposedPort,
  }),
  'private-users': Flags.boolean({description: 'run within user namespaces'}),
  'set-env': Flags.custom({
    description: 'environment variable to set for all the apps: NAME=VALUE',
    multiple: true,
    parse: (text, earlier: readonly Variable[]) => parseVariable(text, earlier),
  }),
  'set-env-file': Flags.custom({
    completes: 'file',
    description: 'the path to a file of environment variables for all the apps',
    multiple: true,
    parse: (path, earlier: readonly ReadonlyMap<string, string>[]) => readVariables(path, earlier),
  }),
  volume: Flags.custom({
    description: 'volumes to make available in the pod: NAME,kind=host,source=PATH[,propagation=private|slave|shared] or NAME,kind=empty',
    multiple: true,
    parse(text) {
      try {
        return parseVolume(text)
      } catch (cause) {
        throw new Error(`invalid value in --volume flag ${JSON.stringify(text)}`, {cause})
      }
    },
  }),
}

export function environmentRequest(flags: FlagValues<typeof preparationFlags>): EnvironmentRequest {
  const files = new Map(flags['set-env-file'].flatMap((file) => [...file]))
  const set = new Map(flags['set-env'])
  return {files, inherited: flags['inherit-env'] ? callerEnvironment() : undefined, set}
}

export function requireUserNamespaces(): void {
  if (scope() !== 'system')
    throw new RktError(
      'RKT_PRIVATE_USERS_UNAVAILABLE',
      '--private-users is for root: pods of an ordinary user are in a user namespace already',
      {
        hint: 'Leave out --private-users.',
      },
    )
  const message = '--private-users is not supported, kernel compiled without user namespace support'
  if (!existsSync('/proc/self/uid_map')) throw new RktError('RKT_PRIVATE_USERS_UNAVAILABLE', message)
}
