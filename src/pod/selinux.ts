/** SELinux contexts of pods (stage1-abi §9.2): the host's for processes and files in containers, with categories that no other pod has. */
import {createHash} from 'node:crypto'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'

export interface PodContexts {
  /** Of the processes of the pod. */
  readonly process: string
  /** Of its files. */
  readonly mount: string
}

/**
 * The contexts of a pod; none where SELinux is not enabled, or the host has no contexts for containers. `others` are the UUIDs of the
 * pods that may run at the same time. `root` is the root of the host.
 */
export function podContexts(uuid: string, others: () => readonly string[], root = '/'): PodContexts | undefined {
  if (!existsSync(join(root, 'sys/fs/selinux/enforce'))) return undefined
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(read(join(root, 'etc/selinux/config')) ?? '')?.[1] ?? 'targeted'
  const path = join(root, 'etc/selinux', policy, 'contexts/lxc_contexts')
  const text = read(path)
  if (text === undefined) return undefined
  const contexts = parseLxcContexts(text)
  const bad = (field: string) => new RktError('RKT_SELINUX', `error initialising SELinux: ${path} has no ${field} context`)
  if (contexts.process === undefined) throw bad('process')
  if (contexts.file === undefined) throw bad('file')
  const level = `s0:${categoriesOf(uuid, others())}`
  const own = {mount: withLevel(contexts.file, level), process: withLevel(contexts.process, level)}
  for (const context of Object.values(own)) {
    if (isUnknown(context, root))
      throw new RktError('RKT_SELINUX', `error initialising SELinux: the loaded policy has no context ${context}, which ${path} asks for`, {
        hint: "Load a module of the policy that has the context's type, or name another type in that file.",
      })
  }
  return own
}

/** Whether the kernel says that its policy has no such context; who may not ask is not told. */
function isUnknown(context: string, root: string): boolean {
  try {
    writeFileSync(join(root, 'sys/fs/selinux/context'), context, {flag: 'r+'})
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EINVAL'
  }
}

/** The context that a pod's files were given when it was run: its directory's. None where pods have none. */
export function contextOfFiles({path, uuid}: {readonly path: string; readonly uuid: string}, root?: string): string | undefined {
  if (!podContexts(uuid, () => [], root)) return undefined
  const label = unwrap(native().listXattrs(path)).find(({name}) => name === 'security.selinux')
  return label?.value.toString('latin1').replace(/\0$/, '')
}

/** Lines `KEY = "CONTEXT"` of lxc_contexts(5); comments and other keys are passed over. */
export function parseLxcContexts(text: string): {readonly file?: string; readonly process?: string} {
  const entries = [...text.matchAll(/^\s*(process|file)\s*=\s*"?([^"\s]+)"?\s*$/gm)]
  return Object.fromEntries(entries.map(([, key, context]) => [key, context]))
}

const withLevel = (context: string, level: string): string => [...context.split(':').slice(0, 3), level].join(':')

const categories = 1024

/** Two of the categories, of which no other pod has the same two as far as they can be told. */
export function categoriesOf(uuid: string, others: readonly string[]): string {
  const taken = new Set(others.filter((other) => other !== uuid).map((other) => pairOf(other, 0)))
  let attempt = 0
  while (taken.has(pairOf(uuid, attempt)) && attempt < categories) attempt++
  return pairOf(uuid, attempt)
}

function pairOf(uuid: string, attempt: number): string {
  const digest = createHash('sha256').update(`${uuid} ${attempt}`).digest()
  const first = digest.readUInt16BE(0) % categories
  const second = (first + 1 + (digest.readUInt16BE(2) % (categories - 1))) % categories
  const [low, high] = [first, second].sort((one, other) => one - other)
  return `c${low},c${high}`
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // What is not there says nothing.
    return undefined
  }
}
