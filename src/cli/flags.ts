/**
 * Declarations of options. Each is a valid oclif flag definition with what rkt's grammar needs beside it: values that are optional,
 * options that belong to the image before them, and the default as the help shows it.
 */

import {parseBoolean, parseInteger} from './argv/values.ts'
import {formatDuration, parseDuration} from './duration.ts'

/** To which images an option belongs: `true` to the one before it; `'or-pod'` also to none, when it stands before all of them. */
export type PerImage = boolean | 'or-pod'

export interface FlagBase {
  readonly name: string
  readonly description: string
  readonly hidden: boolean
  readonly char?: 'h'
  /** Still works, is hidden, and says `Flag --NAME has been deprecated, TEXT`. */
  readonly deprecated?: {readonly message: string}
  /** The default as the help shows it behind `--NAME=`. */
  readonly defaultText: string
  /** What a bare `--NAME` stands for; an option that has it takes a value only behind `=`. */
  readonly bare?: string
  /** True when the help shows `--NAME[=DEFAULT]`. */
  readonly optional: boolean
  /** How occurrences add up: the last one wins, each adds one value, or each adds all of its list. */
  readonly collects: 'last' | 'each' | 'all'
  /** Words that completion offers. */
  readonly values?: readonly string[]
  /** What kind of thing completion offers. */
  readonly completes?: 'directory' | 'file'
  readonly perImage: PerImage
  /** What to say when the option stands before every image. */
  readonly mustFollow?: string
  /** A value from its text; `earlier` are the values that this option has got already (for the same image, if it is per image). */
  read(text: string, earlier: readonly unknown[]): unknown
}

export type FlagSpec = FlagBase &
  (
    | {
        readonly type: 'boolean'
        readonly allowNo: boolean
        /** What the option is when it was not given. */
        readonly default?: boolean
        parse(input: boolean): Promise<boolean>
      }
    | {
        readonly type: 'option'
        readonly multiple: boolean
        readonly input: string[]
        readonly default?: unknown
        parse(input: string): Promise<unknown>
      }
  )

/** An option whose value is a `T` (`~value` carries it, for the type checker only); `P` says whether it belongs to an image. */
export type Flag<T = unknown, P extends PerImage = PerImage> = FlagSpec & {readonly perImage: P; readonly '~value'?: T}

/** An option that takes a value, always or perhaps. */
export type OptionFlag<T = unknown, P extends PerImage = PerImage> = Flag<T, P> & {readonly type: 'option'}

export type FlagInput = Readonly<Record<string, Flag>>

/** The values of the options that concern the whole command. */
export type FlagValues<F extends FlagInput> = {
  readonly [N in keyof F as F[N] extends Flag<unknown, true> ? never : N]: F[N] extends Flag<infer T> ? T : never
}

/** The values of the options that concern one image. */
export type ImageFlagValues<F extends FlagInput> = {
  readonly [N in keyof F as F[N] extends Flag<unknown, false> ? never : N]: F[N] extends Flag<infer T> ? T : never
}

export interface FlagOptions {
  readonly description: string
  readonly hidden?: boolean
  readonly deprecated?: string
  readonly perImage?: PerImage
  /** Said when the option stands before every image; `--NAME must follow an image` by default. */
  readonly mustFollow?: string
  readonly values?: readonly string[]
  readonly completes?: 'directory' | 'file'
  /** The default as the help shows it, where the value's own text is not right. */
  readonly defaultText?: string
}

type PerImageOf<O> = O extends {perImage: infer P extends PerImage} ? P : false

/** `V[]` when the option may be repeated, `V` when it has a default, else also `undefined`. */
type ValueOf<O, V> = O extends {multiple: true} ? readonly V[] : O extends {default: NonNullable<unknown>} ? V : V | undefined

interface OptionShape {
  readonly bare?: string
  readonly collects: FlagBase['collects']
  readonly default?: unknown
  readonly defaultText: string
  readonly optional?: boolean
  read(text: string, earlier: readonly unknown[]): unknown
}

function common(options: FlagOptions, shape: OptionShape): FlagBase & {readonly default?: unknown} {
  const {completes, deprecated, description, hidden = false, mustFollow, perImage = false, values} = options
  return {
    collects: shape.collects,
    defaultText: options.defaultText ?? shape.defaultText,
    description,
    hidden: hidden || deprecated !== undefined,
    name: '',
    optional: shape.optional ?? false,
    perImage,
    read: shape.read,
    ...(shape.default !== undefined && {default: shape.default}),
    ...(shape.bare !== undefined && {bare: shape.bare}),
    ...(deprecated !== undefined && {deprecated: {message: deprecated}}),
    ...(completes && {completes}),
    ...(mustFollow !== undefined && {mustFollow}),
    ...(values && {values}),
  }
}

// The phantom value type has no run-time side, so what a constructor built is named by its caller's return type.
function option<T, P extends PerImage>(options: FlagOptions, shape: OptionShape): OptionFlag<T, P> {
  return {
    ...common(options, shape),
    input: [],
    multiple: shape.collects !== 'last',
    parse: async (input: string) => shape.read(input, []),
    type: 'option',
  } as FlagSpec as OptionFlag<T, P>
}

const quoted = (text: string) => JSON.stringify(text)
const splitList = (text: string) => (text === '' ? [] : text.split(','))

export const Flags = {
  /** `--NAME`, `--NAME=true|false` in Go's words; never takes the next word. */
  boolean<const O extends FlagOptions & {readonly default?: boolean; readonly char?: 'h'}>(options: O): Flag<boolean, PerImageOf<O>> {
    const fallback = options.default ?? false
    return {
      ...common(options, {bare: 'true', collects: 'last', default: fallback, defaultText: String(fallback), read: parseBoolean}),
      ...(options.char && {char: options.char}),
      allowNo: false,
      parse: async (input: boolean) => input,
      type: 'boolean',
    } as Flag<boolean, PerImageOf<O>>
  },

  /** Any text. With `multiple` each occurrence adds one value, commas and all. */
  string<const O extends FlagOptions & {readonly default?: string; readonly multiple?: boolean}>(
    options: O,
  ): OptionFlag<ValueOf<O, string>, PerImageOf<O>> {
    return option(options, {
      collects: options.multiple ? 'each' : 'last',
      default: options.default,
      defaultText: options.multiple ? '[]' : quoted(options.default ?? ''),
      read: (text) => text,
    })
  },

  integer<const O extends FlagOptions & {readonly default?: number; readonly multiple?: boolean}>(
    options: O,
  ): OptionFlag<ValueOf<O, number>, PerImageOf<O>> {
    return option(options, {
      collects: options.multiple ? 'each' : 'last',
      default: options.default,
      defaultText: String(options.default ?? 0),
      read: parseInteger,
    })
  },

  /** A duration in Go's syntax; its value is in milliseconds. */
  duration<const O extends FlagOptions & {readonly default?: number}>(options: O): OptionFlag<ValueOf<O, number>, PerImageOf<O>> {
    return option(options, {
      collects: 'last',
      default: options.default,
      defaultText: formatDuration(options.default ?? 0),
      read: parseDuration,
    })
  },

  /** Commas and repetition both add values; `parse` reads one of them, knowing those before it. */
  list<const O extends FlagOptions & {readonly parse?: (text: string, earlier: never) => unknown}>(
    options: O,
  ): OptionFlag<readonly (O extends {parse: (text: string, earlier: never) => infer V} ? V : string)[], PerImageOf<O>> {
    const parse: ((text: string, earlier: never) => unknown) | undefined = options.parse
    return option(options, {
      collects: 'all',
      defaultText: '[]',
      read: (text, earlier) => {
        const values: unknown[] = []
        for (const part of splitList(text)) values.push(parse ? parse(part, [...earlier, ...values] as never) : part)
        return values
      },
    })
  },

  /** A comma list of words from a closed set, each at most once; the last occurrence of the option replaces earlier ones. */
  options<const V extends string, const P extends PerImage = false>(
    options: FlagOptions & {readonly values: readonly V[]; readonly default: readonly V[]; readonly perImage?: P},
  ): OptionFlag<readonly V[], P> {
    const {values} = options
    return option(options, {
      collects: 'last',
      default: options.default,
      defaultText: options.default.join(','),
      read: (text) => {
        const seen = new Set<string>()
        for (const word of splitList(text).map((part) => part.toLowerCase())) {
          if (!values.some((value) => value === word)) throw new Error(`unknown option ${quoted(word)}`)
          if (seen.has(word)) throw new Error(`duplicated option ${quoted(word)}`)
          seen.add(word)
        }
        return [...seen]
      },
    })
  },

  /** An option whose value is optional: bare, it stands for `bare`; a value follows only behind `=`. With `list`, commas and repetition add. */
  optional<const O extends FlagOptions & {readonly bare: string; readonly default?: string; readonly list?: boolean}>(
    options: O,
  ): OptionFlag<O extends {list: true} ? readonly string[] | undefined : ValueOf<O, string>, PerImageOf<O>> {
    return option(options, {
      bare: options.bare,
      collects: options.list ? 'all' : 'last',
      default: options.default,
      defaultText: options.default ?? options.bare,
      optional: true,
      read: (text) => (options.list ? splitList(text) : text),
    })
  },

  /** A value of one's own kind; what `parse` throws becomes the reason of `invalid argument …`. */
  custom<
    const O extends FlagOptions & {
      readonly default?: unknown
      readonly multiple?: boolean
      readonly parse: (text: string, earlier: never) => unknown
    },
  >(options: O): OptionFlag<ValueOf<O, ReturnType<O['parse']>>, PerImageOf<O>> {
    const parse: (text: string, earlier: never) => unknown = options.parse
    return option(options, {
      collects: options.multiple ? 'each' : 'last',
      default: options.default,
      defaultText: options.multiple ? '[]' : '',
      read: (text, earlier) => parse(text, earlier as never),
    })
  },
}
