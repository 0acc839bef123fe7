/**
 * What a static executable must not contain. A C library linked in whole still loads code when names of users, groups or hosts are
 * asked for: from the rootfs that the program happens to stand in, of another version. So it must not ask. (`dlopen` itself is in
 * every static executable, because Rust's library looks for optional calls by `dlsym`; these are what leads to it.)
 */
import {readFileSync} from 'node:fs'

const refused: ReadonlySet<string> = new Set([
  'getaddrinfo',
  'getgrgid',
  'getgrgid_r',
  'getgrnam',
  'getgrnam_r',
  'getgrouplist',
  'gethostbyaddr',
  'gethostbyname',
  'getnameinfo',
  'getpwnam',
  'getpwnam_r',
  'getpwuid',
  'getpwuid_r',
  'getservbyname',
  'initgroups',
])

const PT_INTERP = 3
const SHT_SYMTAB = 2

/** Sentences about an ELF file of 64 bits, little endian, that still has its symbols; none if it is fit. */
export function faults(path: string): string[] {
  const file = readFileSync(path)
  if (file.subarray(0, 6).toString('latin1') !== '\x7fELF\x02\x01') return ['it is no ELF file of 64 bits, little endian']
  const names = symbols(file)
  if (names.size === 0) return ['it has no symbols left that could be looked at']
  const needs = [...names].filter((name) => refused.has(name)).sort()
  return [
    ...(hasInterpreter(file) ? ['it needs a dynamic loader (PT_INTERP)'] : []),
    ...needs.map((name) => `it contains ${name}, which loads libraries at run time; read the files instead`),
  ]
}

function hasInterpreter(file: Buffer): boolean {
  const start = Number(file.readBigUInt64LE(32))
  const size = file.readUInt16LE(54)
  const count = file.readUInt16LE(56)
  return Array.from({length: count}, (_, index) => file.readUInt32LE(start + index * size)).includes(PT_INTERP)
}

function symbols(file: Buffer): Set<string> {
  const names = new Set<string>()
  const sections = sectionHeaders(file)
  for (const {entrySize, kind, link, offset, size} of sections) {
    const strings = sections[link]
    if (kind !== SHT_SYMTAB || strings === undefined) continue
    for (let at = offset; at < offset + size; at += entrySize) {
      const start = strings.offset + file.readUInt32LE(at)
      const name = file.toString('latin1', start, file.indexOf(0, start))
      if (name !== '') names.add(name)
    }
  }
  return names
}

function sectionHeaders(file: Buffer) {
  const start = Number(file.readBigUInt64LE(40))
  const each = file.readUInt16LE(58)
  return Array.from({length: file.readUInt16LE(60)}, (_, index) => {
    const at = start + index * each
    return {
      entrySize: Number(file.readBigUInt64LE(at + 56)),
      kind: file.readUInt32LE(at + 4),
      link: file.readUInt32LE(at + 40),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
    }
  })
}
