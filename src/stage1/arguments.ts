/** The words that entrypoints are called with, by the version of the interface that the image speaks (docs/stage1.md). */

import type {InsecureOptions} from '../config/index.ts'

export interface RunOptions {
  readonly debug: boolean
  readonly networks: readonly string[]
  readonly interactive: boolean
  /** `SHIFT:COUNT` */
  readonly privateUsers?: string | undefined
  /** Not given by `run-prepared`. */
  readonly localConfig?: string | undefined
  readonly hostname?: string | undefined
  /** `resolv=R,hosts=H` */
  readonly dnsConfMode?: string | undefined
  readonly insecure: Pick<InsecureOptions, 'capabilities' | 'paths' | 'seccomp'>
  /** What the metadata service knows the pod by, when it is registered there: 32 hex digits. */
  readonly metadataToken?: string | undefined
  readonly mutable: boolean
  readonly ipc?: string | undefined
  readonly uuid: string
}

export interface Arguments {
  readonly words: readonly string[]
  /** Options that this stage1 does not understand and that were left out. */
  readonly warnings: readonly string[]
}

export function runArguments(options: RunOptions, version: number): Arguments {
  const {debug, dnsConfMode, hostname, insecure, interactive, ipc, localConfig, metadataToken, mutable, networks, privateUsers, uuid} =
    options
  const words: string[] = []
  const warnings: string[] = []
  if (debug) words.push('--debug')
  words.push(`--net=${networks.join(',')}`)
  if (interactive) words.push('--interactive')
  if (privateUsers) words.push(`--private-users=${privateUsers}`)
  if (metadataToken) words.push(`--mds-token=${metadataToken}`)
  if (localConfig) words.push(`--local-config=${localConfig}`)
  if (hostname) {
    if (version > 1) words.push(`--hostname=${hostname}`)
    else warnings.push('warning: --hostname option is not supported by stage1')
  }
  if (dnsConfMode) {
    if (version > 3) words.push(`--dns-conf-mode=${dnsConfMode}`)
    else warnings.push('warning: --dns-conf-mode option not supported by stage1')
  }
  if (version > 2) {
    if (insecure.capabilities) words.push('--disable-capabilities-restriction')
    if (insecure.paths) words.push('--disable-paths')
    if (insecure.seccomp) words.push('--disable-seccomp')
  }
  if (mutable) words.push('--mutable')
  if (ipc) {
    if (version >= 6) words.push(`--ipc=${ipc}`)
    else warnings.push('warning: --ipc option is not supported by stage1')
  }
  words.push(uuid)
  return {warnings, words}
}

export function gcArguments({debug, localConfig, uuid}: {debug: boolean; localConfig: string; uuid: string}, version: number): string[] {
  return [...(debug ? ['--debug'] : []), ...(version >= 5 ? ['--local-config', localConfig] : []), uuid]
}

export function stopArguments({force, uuid}: {force: boolean; uuid: string}): string[] {
  return [...(force ? ['--force'] : []), uuid]
}

export function enterArguments({app, command, pid}: {app: string; command: readonly string[]; pid: number}): string[] {
  return [`--pid=${pid}`, `--appname=${app}`, '--', ...command]
}

/** Which streams of an app are attached to. */
export interface AttachChoice {
  readonly ttyIn: boolean
  readonly ttyOut: boolean
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
}

export function attachArguments({
  app,
  debug,
  mode,
}: {
  app: string
  debug: boolean
  /** All that there is, a list of it, or some of it. */
  mode: 'auto' | 'list' | AttachChoice
}): string[] {
  const common = [`--app=${app}`, `--debug=${debug}`]
  if (mode === 'list') return ['--action=list', ...common]
  if (mode === 'auto') return ['--action=auto-attach', ...common]
  const {stderr, stdin, stdout, ttyIn, ttyOut} = mode
  const chosen = [`--tty-in=${ttyIn}`, `--tty-out=${ttyOut}`, `--stdin=${stdin}`, `--stdout=${stdout}`, `--stderr=${stderr}`]
  return ['--action=custom-attach', ...chosen, ...common]
}
