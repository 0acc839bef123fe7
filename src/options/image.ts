/** The options behind an image of `run` and `prepare`, and what they change in its app. */

import {type AcIdentifier, parseAcIdentifier, parseMount, parseQuantity} from '../appc/index.ts'
import {Flags, type ImageFlagValues} from '../cli/index.ts'
import {causeChain} from '../errors.ts'
import type {AppOverrides} from '../pod/index.ts'

/** What help says of the word IMAGE. */
export const imageReferences = `IMAGE is a file (app.aci, ./app.aci), a URL (https://example.com/app.aci), an image of a registry (docker://NAME),
of an OCI layout or of an archive of Docker (oci:PATH, docker-archive:PATH), a name (example.com/app:1.0.0), which is looked up in
the store and then at its publisher, or the ID of a stored image (sha512-...).`

/** An option that an image takes once. */
const once = (name: string, description: string, completes?: 'file') =>
  Flags.custom({
    description,
    parse(text, earlier: readonly string[]) {
      if (earlier.length > 0) throw new Error(`--${name} specified multiple times for the same image`)
      return text
    },
    perImage: true,
    ...(completes && {completes}),
  })

const pair = (name: string, description: string) =>
  Flags.custom({
    description,
    multiple: true,
    parse(text): readonly [string, string] {
      const at = text.indexOf('=')
      if (at < 0) throw new Error(`invalid format of --${name} flag ${JSON.stringify(text)}`)
      return [text.slice(0, at), text.slice(at + 1)]
    },
    perImage: true,
  })

const annotation = Flags.custom({
  description: "set the app's annotations (example: '--annotation=foo=bar')",
  multiple: true,
  parse(text): readonly [AcIdentifier, string] {
    const at = text.indexOf('=')
    if (at < 0) throw new Error(`invalid format of --annotation flag ${JSON.stringify(text)}`)
    const key = text.slice(0, at)
    try {
      return [parseAcIdentifier(key), text.slice(at + 1)]
    } catch (cause) {
      throw new Error(`error parsing annotation key ${JSON.stringify(key)}`, {cause})
    }
  },
  perImage: true,
})

const text = (description: string) => Flags.string({description, perImage: true})

const integerBetween = (what: string, least: number, most: number, description: string) =>
  Flags.custom({
    description,
    parse(word) {
      const value = Number(word)
      if (!/^[+-]?\d+$/.test(word)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(word)}: invalid syntax`)
      if (value < least || value > most) throw new Error(`${what} must be between ${least} and ${most}, got ${value}`)
      return value
    },
    perImage: true,
  })

function quantity(word: string): ReturnType<typeof parseQuantity> {
  try {
    return parseQuantity(word)
  } catch (error) {
    // Under the documented sentence stands the rule that the text breaks.
    throw new Error('error parsing request', {cause: new Error(causeChain(error).at(-1))})
  }
}

const leastMemory = 4096n

const memory = Flags.custom({
  description: "memory limit for the preceding image (example: '--memory=16Mi', '--memory=50M', '--memory=1G')",
  parse(word) {
    const {value} = quantity(word)
    if (value < leastMemory) throw new Error(`memory limit of ${value} bytes too low. Try a reasonable value, such as --memory=16M`)
    return word
  },
  perImage: true,
})

const cpu = Flags.custom({
  description: "cpu limit for the preceding image (example: '--cpu=500m')",
  parse(word) {
    quantity(word)
    return word
  },
  perImage: true,
})

const capabilities = (name: string, description: string, deprecated?: string) =>
  Flags.list({description, mustFollow: `--${name} must follow an image`, perImage: true, ...(deprecated && {deprecated})})

const booleans: Readonly<Record<string, boolean>> = {
  '0': false,
  '1': true,
  F: false,
  FALSE: false,
  False: false,
  T: true,
  TRUE: true,
  True: true,
  f: false,
  false: false,
  t: true,
  true: true,
}

/** A boolean that takes its value, as the others of an image do. */
const readOnlyRootfs = Flags.custom({
  description: "if set, the app's rootfs will be mounted read-only (example: '--readonly-rootfs=true')",
  parse(word) {
    const value = booleans[word]
    if (value === undefined) throw new Error('--readonly-rootfs must be set with a boolean')
    return value
  },
  perImage: true,
})

const supplementaryGids = Flags.list({
  description: "supplementary group IDs override for the preceding image (example: '--supplementary-gids=1024,2048')",
  parse(word) {
    if (!/^\d{1,10}$/.test(word)) throw new Error('--supplementary-gids must be integers')
    return Number(word)
  },
  perImage: true,
})

const streams = (name: string, modes: readonly string[]) =>
  Flags.custom({
    description: `${name} mode for the preceding application: ${modes.join(', ')}`,
    mustFollow: `--${name} must follow an application`,
    parse(word) {
      if (!modes.includes(word)) throw new Error(`invalid ${name} mode ${JSON.stringify(word)}`)
      return word
    },
    perImage: true,
    values: modes,
  })

/** Which options an image may be followed by. */
export const imageFlags = {
  annotation,
  'cap-remove': capabilities('cap-remove', 'capability to remove from the preceding image', 'use --caps-remove instead'),
  'cap-retain': capabilities('cap-retain', 'capability to retain in the preceding image', 'use --caps-retain instead'),
  // Historical: both forms name the option that retains.
  'caps-remove': capabilities('caps-retain', "capability to remove from the preceding image (example: '--caps-remove=CAP_MKNOD')"),
  'caps-retain': capabilities('caps-retain', "capability to retain in the preceding image (example: '--caps-retain=CAP_SYS_ADMIN')"),
  cpu,
  'cpu-shares': integerBetween(
    'os/linux/cpu-shares',
    2,
    262144,
    "cpu-shares assigns the specified CPU time share weight for the preceding image (example: '--cpu-shares=2048')",
  ),
  environment: pair('environment', "set the app's environment variables (example: '--environment=foo=bar')"),
  exec: once('exec', 'override the exec command for the preceding image'),
  group: text("group override for the preceding image (example: '--group=group')"),
  memory,
  mount: Flags.custom({
    description:
      'mount point binding a volume to a path within an app: before any image for all apps, else for the preceding one (volume=NAME,target=PATH)',
    multiple: true,
    parse: parseMount,
    perImage: 'or-pod',
  }),
  name: text("set the name of the app (example: '--name=foo'). If not set, then the app name default to the image's name"),
  'oom-score-adj': integerBetween('os/linux/oom-score-adj', -1000, 1000, 'oom-score-adj isolator override'),
  'oom-score-adjust': {
    ...integerBetween('os/linux/oom-score-adj', -1000, 1000, 'the same as --oom-score-adj'),
    hidden: true,
  },
  'readonly-rootfs': readOnlyRootfs,
  seccomp: text("seccomp filter override for the preceding image (example: '--seccomp mode=retain,errno=EPERM,chmod,chown')"),
  signature: once('signature', 'local signature file to use in validating the preceding image', 'file'),
  stderr: streams('stderr', ['log', 'null', 'stream', 'tty', 'interactive']),
  stdin: streams('stdin', ['null', 'stream', 'tty', 'interactive']),
  stdout: streams('stdout', ['log', 'null', 'stream', 'tty', 'interactive']),
  'supplementary-gids': supplementaryGids,
  user: text("user override for the preceding image (example: '--user=user')"),
  'user-annotation': pair('user-annotation', "set the app's user annotations (example: '--user-annotation=foo=bar')"),
  'user-label': pair('user-label', "set the app's user labels (example: '--user-label=foo=bar')"),
  'working-dir': text("override the working directory of the preceding image (example: '--working-dir=/tmp/workdir')"),
}

/** What the options behind an image, and the arguments of its app, change. */
export function appOverrides(flags: ImageFlagValues<typeof imageFlags>, args: readonly string[]): AppOverrides {
  const capsRemove = [...flags['caps-remove'], ...flags['cap-remove']]
  const capsRetain = [...flags['caps-retain'], ...flags['cap-retain']]
  return {
    annotations: new Map(flags.annotation),
    args,
    capsRemove: capsRemove.length > 0 ? capsRemove : undefined,
    capsRetain: capsRetain.length > 0 ? capsRetain : undefined,
    cpu: flags.cpu,
    cpuShares: flags['cpu-shares'],
    environment: new Map(flags.environment),
    exec: flags.exec,
    group: flags.group,
    memory: flags.memory,
    mounts: flags.mount,
    name: flags.name,
    oomScoreAdj: flags['oom-score-adj'] ?? flags['oom-score-adjust'],
    readOnlyRootfs: flags['readonly-rootfs'],
    seccomp: flags.seccomp,
    stderr: flags.stderr,
    stdin: flags.stdin,
    stdout: flags.stdout,
    supplementaryGids: flags['supplementary-gids'].length > 0 ? flags['supplementary-gids'] : undefined,
    user: flags.user,
    userAnnotations: new Map(flags['user-annotation']),
    userLabels: new Map(flags['user-label']),
    workingDirectory: flags['working-dir'],
  }
}
