/** Where plugins that users install lie, and whether code from there may run. */

import {existsSync, lstatSync, readdirSync, realpathSync} from 'node:fs'
import {homedir} from 'node:os'
import {dirname, join} from 'node:path'
import {RktError} from '../../errors.ts'
import {isSystemRoot} from '../../privileges.ts'

/** `$XDG_DATA_HOME/rkt/plugins` when that is set; else one directory for root and one in each user's home. */
export function pluginDirectory(): string {
  const data = process.env.XDG_DATA_HOME
  if (data?.startsWith('/')) return join(data, 'rkt/plugins')
  return isSystemRoot() ? '/usr/local/lib/rkt/plugins' : join(homedir(), '.local/share/rkt/plugins')
}

export function hasInstalledPlugins(): boolean {
  return existsSync(join(pluginDirectory(), 'package.json'))
}

/**
 * Refuses, for root, a directory that another user could change: something in it, or a directory above it, belongs to another user or
 * may be written by others. (In a sticky directory above, others cannot replace what is root's.)
 */
export function assertOnlyRootWrites(directory: string, isRoot = isSystemRoot()): void {
  if (!isRoot) return
  const root = realpathSync(directory)
  for (let at = dirname(root); ; at = dirname(at)) {
    const {mode, uid} = lstatSync(at)
    if (uid !== 0 || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)) throw unsafe(directory, at)
    if (at === '/') break
  }
  const inside = readdirSync(root, {recursive: true, withFileTypes: true}).map((entry) => join(entry.parentPath, entry.name))
  for (const path of [root, ...inside]) {
    const stats = lstatSync(path)
    if (stats.uid !== 0 || (!stats.isSymbolicLink() && (stats.mode & 0o022) !== 0)) throw unsafe(directory, path)
  }
}

function unsafe(directory: string, path: string): RktError {
  return new RktError('RKT_UNSAFE_PLUGIN', `refusing to load plugins from ${directory} as root: another user may write ${path}`, {
    hint: `Give it to root and take the write permission from others, for example with "chown -R root ${path}" and "chmod -R go-w ${path}".`,
  })
}
