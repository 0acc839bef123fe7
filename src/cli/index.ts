/**
 * The command line: rkt's argv grammar, the base of every command, help, tables, and how failures are shown.
 * Rests on the engine, which it opens when a command asks for it. Knows no single command, no pod and no image.
 */

export {type Arg, type ArgInput, Args, type ArgValues} from './args.ts'
export {EngineCommand, type ImageArgument, type ImageParseOptions, type Parsed, type ParsedImages} from './command.ts'
export {formatDuration, parseDuration} from './duration.ts'
export {type Flag, type FlagInput, type FlagOptions, Flags, type FlagValues, type ImageFlagValues} from './flags.ts'
export type {GlobalOptions} from './globals.ts'
export {assertOnlyRootWrites, completionScript, helpText, listPlugins, managePlugins} from './lazy.ts'
export {packageVersion} from './package-root.ts'
export {humanSize} from './size.ts'
export {formatTable} from './table.ts'
export {absoluteTime, relativeTime} from './time.ts'
export {UsageError} from './usage-error.ts'
