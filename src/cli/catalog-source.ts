/** Finds command files and reads what the catalog says of them. For unbuilt runs and for the build. */

import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join, relative} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {Catalog, CatalogEntry, CommandClass} from './catalog-entry.ts'
import type {FlagInput} from './flags.ts'
import {globalFlags, helpFlag} from './globals.ts'

export interface CommandFile {
  readonly id: string
  readonly path: string
}

interface PluginManifest {
  readonly oclif?: {readonly topics?: Readonly<Record<string, {readonly description?: string}>>}
}

/** The command files of the core and of the plugins in the repository at `root`, ordered by id, and the groups' summaries. */
export function findCommandFiles(root: string): {files: CommandFile[]; groups: Record<string, string>} {
  const files = commandFilesBelow(join(root, 'src/commands'))
  const groups: Record<string, string> = {plugins: 'Manage the plugins that were installed beside the built-in ones'}
  const plugins = join(root, 'plugins')
  for (const name of existsSync(plugins) ? readdirSync(plugins).toSorted() : []) {
    const manifest = JSON.parse(readFileSync(join(plugins, name, 'package.json'), 'utf8')) as PluginManifest
    const topics = Object.entries(manifest.oclif?.topics ?? {})
    const found = commandFilesBelow(join(plugins, name, 'src/commands'))
    files.push(...found.map(({id, path}) => ({id: inTopic(id, topics[0]?.[0]), path})))
    if (found.length > 0) for (const [topic, {description = ''}] of topics) groups[topic] = description
  }
  return {files: files.toSorted((a, b) => (a.id < b.id ? -1 : 1)), groups}
}

const inTopic = (id: string, topic: string | undefined) => (topic === undefined || id.split(' ')[0] === topic ? id : `${topic} ${id}`)

function commandFilesBelow(directory: string): CommandFile[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') && !entry.name.startsWith('_'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({id: relative(directory, path).replace(/\.ts$/, '').split('/').join(' '), path}))
}

/** Loads every command to read its declaration. */
export async function discoverCatalog(root: string): Promise<Catalog> {
  const {files, groups} = findCommandFiles(root)
  const loaded = await Promise.all(
    files.map(async ({id, path}): Promise<CatalogEntry & {command: CommandClass}> => {
      const load = () => import(pathToFileURL(path).href) as Promise<{default: CommandClass}>
      const {default: command} = await load()
      return {command, hidden: command.hidden, id, load, summary: command.summary}
    }),
  )
  return {entries: loaded, groups, switches: switchNames(loaded.map(({command}) => command.flags))}
}

/** Names of options that no command gives the next word to. */
export function switchNames(declarations: readonly FlagInput[]): ReadonlySet<string> {
  const all = [globalFlags, {help: helpFlag}, ...declarations].flatMap((flags) => Object.entries(flags))
  const valued = new Set(all.filter(([, flag]) => flag.bare === undefined).map(([name]) => name))
  return new Set(all.map(([name]) => name).filter((name) => !valued.has(name)))
}
