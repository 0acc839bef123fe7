import type {EngineCommand} from './command.ts'

/** A command's class: what a command file exports by default. */
export type CommandClass = Pick<
  typeof EngineCommand,
  'id' | 'summary' | 'description' | 'usage' | 'args' | 'flags' | 'hidden' | 'strict' | 'run'
> &
  (new (
    argv: string[],
    config?: unknown,
  ) => EngineCommand)

/** What is known of a command without loading it. */
export interface CatalogEntry {
  readonly id: string
  readonly summary: string
  readonly hidden: boolean
  /** The one module that has to be loaded to run it. */
  load(): Promise<{readonly default: CommandClass}>
}

/** All commands that are built in: the core's and those of the four plugins. */
export interface Catalog {
  readonly entries: readonly CatalogEntry[]
  /** Summaries of the words that only group commands (`image`). */
  readonly groups: Readonly<Record<string, string>>
  /** Options that never take the next word, whatever command they belong to. */
  readonly switches: ReadonlySet<string>
}
