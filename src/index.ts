/**
 * The public API of rkt: all that a plugin may import, under the name `@rkt/engine`. What is exported here keeps its meaning.
 */

export {
  type ArgInput,
  Args,
  absoluteTime,
  EngineCommand,
  type Flag,
  type FlagInput,
  Flags,
  formatDuration,
  formatTable,
  type GlobalOptions,
  humanSize,
  type ImageArgument,
  parseDuration,
  relativeTime,
  UsageError,
} from './cli/index.ts'
export type {Engine, EngineOptions} from './engine/index.ts'
export {type ErrorCode, RktError} from './errors.ts'
