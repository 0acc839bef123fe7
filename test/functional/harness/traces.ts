/** What pods could leave behind: mounts, cgroups, processes, files. Compared as text, so that a failure shows the difference. */
import {createHash} from 'node:crypto'
import {existsSync, lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join, relative} from 'node:path'

/** The mounts of this mount namespace, in order. */
export function mounts(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8').trim().split('\n')
}

/** Every cgroup below those that the suite made for itself, in all hierarchies. */
export function cgroups(): string[] {
  const name = process.env.RKT_TEST_NAMESPACES ?? ''
  const found: string[] = []
  const walk = (directory: string, inside: boolean): void => {
    for (const entry of readdirSync(directory, {withFileTypes: true})) {
      if (!entry.isDirectory()) continue
      const path = join(directory, entry.name)
      const below = inside || entry.name === name
      if (below) found.push(path)
      walk(path, below)
    }
  }
  if (existsSync('/sys/fs/cgroup')) walk('/sys/fs/cgroup', false)
  return found.sort()
}

export interface ProcessFact {
  readonly pid: number
  readonly ppid: number
  readonly executable: string
  readonly command: string
}

/** Every process of the suite's pid namespace. */
export function processes(): ProcessFact[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (state === 'Z') return []
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return [{command, executable: readlinkSync(`/proc/${name}/exe`), pid: Number(name), ppid: Number(ppid)}]
    } catch {
      return [] // ended while we looked
    }
  })
}

/** A process and all that descend from it. */
export function familyOf(pid: number): ProcessFact[] {
  const all = processes()
  const family = all.filter((process) => process.pid === pid)
  for (const member of family) family.push(...all.filter((process) => process.ppid === member.pid))
  return family
}

/** Lock files say nothing about what is stored: they may appear whenever somebody looks. */
const lockDirectories = ['locks', 'cas/imagelocks', 'cas/treestorelocks']
/** Says only that somebody wrote, so that the index is looked at again. */
const generation = 'cas/generation'
/** `blob/sha512/XX`, which stays when the last image in it goes. */
const digitDirectory = /^cas\/(?:blob|imageManifest)\/sha\d+\/[\da-f]{2}$/

/** One line an entry: what a data directory holds, without times and what an image that came and went leaves. */
export function contents(directory: string): string[] {
  const lines: string[] = []
  const walk = (path: string): void => {
    const name = relative(directory, path)
    if (lockDirectories.includes(name) || name === generation) return
    if (digitDirectory.test(name) && readdirSync(path).length === 0) return
    const stat = lstatSync(path)
    const mode = (stat.mode & 0o7777).toString(8)
    if (stat.isDirectory()) {
      lines.push(`d ${mode} ${name}`)
      for (const entry of readdirSync(path).sort()) walk(join(path, entry))
    } else if (stat.isFile()) {
      const digest = createHash('sha1').update(readFileSync(path)).digest('hex').slice(0, 12)
      lines.push(`f ${mode} ${name} ${stat.size} ${digest}`)
    } else lines.push(`o ${mode} ${name} ${stat.isSymbolicLink() ? readlinkSync(path) : stat.rdev}`)
  }
  if (existsSync(directory)) walk(directory)
  return lines
}
