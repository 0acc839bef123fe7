/** The options that every command has. */

import {resolve} from 'node:path'
import {INSECURE_OPTION_WORDS, type InsecureOptions, parseInsecureOptions, SECURE} from '../config/index.ts'
import {defaultDirectories} from '../privileges.ts'
import {Flags, type FlagValues} from './flags.ts'

const directory = (text: string) => {
  if (text === '') throw new Error('"" is not a valid directory')
  return resolve(text)
}

export const globalFlags = {
  cpuprofile: Flags.string({completes: 'file', description: 'write CPU profile to the file', hidden: true}),
  debug: Flags.boolean({description: 'print out more debug information to stderr'}),
  dir: Flags.custom({
    completes: 'directory',
    defaultText: '/var/lib/rkt',
    description: 'rkt data directory; of an ordinary user ~/.local/share/rkt',
    parse: directory,
  }),
  'insecure-options': Flags.custom({
    default: SECURE,
    defaultText: 'none',
    description: `comma-separated list of security features to disable. Allowed values: ${INSECURE_OPTION_WORDS.map((word) => `"${word}"`).join(', ')}`,
    parse: parseInsecureOptions,
    values: INSECURE_OPTION_WORDS,
  }),
  'local-config': Flags.custom({
    completes: 'directory',
    default: defaultDirectories().localConfig,
    defaultText: '/etc/rkt',
    description: 'local configuration directory; of an ordinary user ~/.config/rkt',
    parse: directory,
  }),
  memprofile: Flags.string({completes: 'file', description: 'write memory profile to the file', hidden: true}),
  'system-config': Flags.custom({
    completes: 'directory',
    default: '/usr/lib/rkt',
    defaultText: '/usr/lib/rkt',
    description: 'system configuration directory',
    parse: directory,
  }),
  'trust-keys-from-https': Flags.boolean({
    description: 'automatically trust gpg keys fetched from HTTPS (or HTTP if the insecure pubkey option is also specified)',
  }),
  'user-config': Flags.custom({completes: 'directory', description: 'user configuration directory', parse: directory}),
}

export const helpFlag = Flags.boolean({char: 'h', description: 'help for the command'})

/** What the global options came to. */
export interface GlobalOptions {
  readonly debug: boolean
  /** Only when `--dir` was given: the configuration decides otherwise. */
  readonly dir: string | undefined
  readonly insecure: InsecureOptions
  readonly localConfig: string
  readonly systemConfig: string
  readonly trustKeysFromHttps: boolean
  readonly userConfig: string | undefined
}

export function globalOptions(values: FlagValues<typeof globalFlags>): GlobalOptions {
  return {
    debug: values.debug,
    dir: values.dir,
    insecure: values['insecure-options'],
    localConfig: values['local-config'],
    systemConfig: values['system-config'],
    trustKeysFromHttps: values['trust-keys-from-https'],
    userConfig: values['user-config'],
  }
}
