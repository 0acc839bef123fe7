/**
 * The base of every command of ours and of plugins: words to typed values, an engine, and output in rkt's form.
 *
 * It has the shape of an oclif command without being one: @oclif/core takes longer to load than the rest of a command takes to run.
 * oclif's loader, manifest and runner accept it (`command.test.ts` checks the types).
 */

import type {Engine} from '../engine/index.ts'
import {RktError} from '../errors.ts'
import {scope} from '../privileges.ts'
import type {ArgInput, ArgValues} from './args.ts'
import {scanImages} from './argv/images.ts'
import {OptionError} from './argv/options.ts'
import {type ParsedWords, parseWords} from './argv/parse.ts'
import type {FlagInput, FlagValues, ImageFlagValues} from './flags.ts'
import {type GlobalOptions, globalFlags, globalOptions, helpFlag} from './globals.ts'
import {line, writeStderr, writeStdout} from './output.ts'
import {UsageError} from './usage-error.ts'

/** What a command declares. */
export interface Declaration {
  readonly args: ArgInput
  readonly flags: FlagInput
}

export interface Parsed<C extends Declaration> {
  readonly args: ArgValues<C['args']>
  /** All positional words. */
  readonly argv: readonly string[]
  readonly flags: FlagValues<C['flags']>
}

/** One image of a command line with what belongs to it. */
export interface ImageArgument<C extends Declaration = Declaration> {
  readonly args: readonly string[]
  readonly flags: ImageFlagValues<C['flags']>
  readonly reference: string
}

export interface ParsedImages<C extends Declaration> {
  /** The words before the images. */
  readonly argv: readonly string[]
  readonly flags: FlagValues<C['flags']>
  readonly images: readonly ImageArgument<C>[]
}

export interface ImageParseOptions {
  /** False when `--` has no meaning because nothing is started. */
  readonly appArguments?: boolean
  /** The outer sentence of a failure. */
  readonly failure?: string
  /** How many words stand before the images. */
  readonly leading?: number
}

/** `--help` was given: no failure, but the command does not run. */
export class HelpRequest extends Error {}

export abstract class EngineCommand {
  /** Set by whoever loads the command: its words (`image list`). */
  static id = ''
  static summary = ''
  static description: string | undefined = undefined
  /** What follows the command's name on the usage line of its help. */
  static usage: string | string[] | undefined = undefined
  static args: ArgInput = {}
  static flags: FlagInput = {}
  static baseFlags: FlagInput = {}
  static aliases: string[] = []
  static hiddenAliases: string[] = []
  static examples: string[] = []
  static constraints: [] = []
  static enableJsonFlag = false
  static hasDynamicHelp = false
  static help: string | undefined = undefined
  static hidden = false
  /** False: more words than the declared ones are welcome. */
  static strict = true
  /** False: options end at the first positional word. */
  static interspersed = true

  readonly argv: string[]
  readonly config: unknown
  #globals: GlobalOptions | undefined

  constructor(argv: string[], config?: unknown) {
    this.argv = argv
    this.config = config
  }

  /** Runs the command over its words, which may contain global options. */
  static async run(this: new (argv: string[], config?: unknown) => EngineCommand, argv: string[] = [], config?: unknown): Promise<unknown> {
    return await new this(argv, config).run()
  }

  abstract run(): Promise<unknown>

  /** The global options; known once the words are parsed. */
  get globals(): GlobalOptions {
    if (!this.#globals) throw new RktError('RKT_INTERNAL', 'global options were asked for before the words were parsed')
    return this.#globals
  }

  /** Words to values by the command's declaration. A wrong number of words is a misuse, as is an unknown option. */
  protected async parse<C extends Declaration>(declaration: C): Promise<Parsed<C>> {
    const {values, words} = this.#read(declaration)
    const {strict} = this.#class
    const declared = Object.entries(declaration.args)
    const required = declared.filter(([, {required}]) => required).length
    if (words.length < required || (strict && words.length > declared.length)) throw new UsageError()
    const args = Object.fromEntries(declared.map(([name], index) => [name, words[index]]))
    // The reader has checked every value against the declaration that the types come from.
    return {args, argv: words, flags: values.result(({perImage}) => perImage !== true)} as Parsed<C>
  }

  /** Words to images, each with its own options and arguments. */
  protected async parseImages<C extends Declaration>(
    declaration: C,
    {appArguments = true, failure = 'error parsing app image arguments', leading = 0}: ImageParseOptions = {},
  ): Promise<ParsedImages<C>> {
    const {flags, values: pod, words} = this.#read(declaration, false)
    try {
      const {images, notices} = scanImages(words.slice(leading), flags, pod, {appArguments})
      this.#accept(pod, notices)
      return {
        argv: words.slice(0, leading),
        flags: pod.result(({perImage}) => perImage !== true),
        images: images.map(({args, reference, values}) => ({args, flags: values.result(({perImage}) => perImage !== false), reference})),
      } as unknown as ParsedImages<C>
    } catch (error) {
      if (error instanceof OptionError) throw new RktError('RKT_BAD_ARGUMENTS', failure, {cause: error, hint: error.hint})
      throw error
    }
  }

  #read(declaration: Declaration, interspersed = this.#class.interspersed): ParsedWords & {readonly flags: FlagInput} {
    const flags: FlagInput = {...globalFlags, ...declaration.flags, help: helpFlag}
    try {
      const parsed = parseWords(this.argv, flags, {interspersed})
      this.#accept(parsed.values, parsed.notices)
      return {...parsed, flags}
    } catch (error) {
      if (error instanceof OptionError) throw new UsageError(error.message, error.hint)
      throw error
    }
  }

  #accept(values: ParsedWords['values'], notices: readonly string[]): void {
    for (const notice of notices) writeStderr(line(notice))
    const result = values.result(() => true)
    this.#globals = globalOptions(result as FlagValues<typeof globalFlags>)
    debugging ||= this.#globals.debug
    if (result.help === true) throw new HelpRequest()
  }

  get #class(): typeof EngineCommand {
    return this.constructor as typeof EngineCommand
  }

  /** One line on stdout, without prefix. */
  protected print(text: string): void {
    writeStdout(line(text))
  }

  /** Text on stdout as it stands: tables, scripts. */
  protected write(text: string | Uint8Array): void {
    writeStdout(text)
  }

  /** The same on stderr, without prefix. */
  protected writeError(text: string | Uint8Array): void {
    writeStderr(text)
  }

  /** One line on stderr, behind the command's prefix. */
  protected note(text: string): void {
    writeStderr(line(`${prefixOf(this.#class.id)}: ${text}`))
  }

  /** A line on stderr that only `--debug` shows. */
  protected debug(text: string): void {
    if (this.globals.debug) this.note(text)
  }

  /** An ordinary user may do to pods of their own what root may do to the system's. */
  protected requireRoot(): void {
    if (process.geteuid?.() !== 0 && scope() !== 'own') throw new RktError('RKT_NOT_ROOT', 'cannot run as unprivileged user')
  }

  /** The same of what needs a namespace: the launcher makes one when it sees the command, which a value in the next word hides. */
  protected requireNamespace(): void {
    this.requireRoot()
    if (process.geteuid?.() !== 0)
      throw new RktError('RKT_NOT_ROOT', 'cannot run as unprivileged user', {
        hint: 'Write options behind the command, or before it as --OPTION=VALUE.',
      })
  }

  /** Refuses, by its name, what an ordinary user cannot have in a namespace of their own either. */
  protected requireSystem(what: string): void {
    if (scope() !== 'system') throw new RktError('RKT_NOT_ROOT', `${what} is for root`, {hint: 'Run the command as root.'})
  }

  /** The engine over the directories that the global options name; its caller disposes of it. */
  protected async openEngine(): Promise<Engine> {
    const {openEngine} = await import('../engine/index.ts')
    const {debug, dir, insecure, localConfig, systemConfig, trustKeysFromHttps, userConfig} = this.globals
    return await openEngine({
      debug,
      diagnostics: {
        debug: (prefix, message) => debug && writeStderr(line(`${prefix}: ${message}`)),
        note: (prefix, message) => writeStderr(line(`${prefix}: ${message}`)),
      },
      insecure,
      localConfig,
      systemConfig,
      trustKeysFromHttps,
      ...(dir !== undefined && {dataDir: dir}),
      ...(userConfig !== undefined && {userConfig}),
    })
  }
}

let debugging = false

/** Whether `--debug` was among the words that were parsed. */
export const isDebugging = () => debugging

/** What stands in front of a command's lines on stderr: the last word of its name. */
export const prefixOf = (id: string) => id.split(/[ :]/).at(-1) || 'rkt'
