/** Which values the known isolators take. Each check throws a Problem that names the place. */
import {foldMembers, isObject, kindOf} from './fold.ts'
import {isRawJSON} from './json.ts'
import {type Path, Problem, within} from './problem.ts'
import {parseQuantity} from './quantity.ts'
import {quote} from './text.ts'
import type {JsonValue} from './types.ts'

export type ValueCheck = (value: JsonValue, at: Path, name: string) => void

const RESOURCE = ['default', 'request', 'limit'] as const
const SET = ['set', 'errno'] as const
const SELINUX = ['user', 'role', 'type', 'level'] as const
const APPARMOR = ['profile'] as const

type Members = Partial<Record<string, JsonValue>>

function membersOf(value: JsonValue, at: Path, names: readonly string[]): Members {
  if (!isObject(value)) throw new Problem(at, `must be an object, not ${kindOf(value)}`)
  return foldMembers(value, names) as Members
}

function checkQuantity(value: JsonValue | undefined, at: Path): void {
  if (value === undefined) return
  if (typeof value === 'string') within(at, () => parseQuantity(value.trim()))
  else if (typeof value === 'number' || isRawJSON(value)) within(at, () => parseQuantity(isRawJSON(value) ? value.rawJSON : String(value)))
  else throw new Problem(at, `must be a quantity, not ${kindOf(value)}`)
}

function checkResource(value: JsonValue, at: Path): Members {
  const members = membersOf(value, at, RESOURCE)
  const {default: isDefault} = members
  if (isDefault !== undefined && typeof isDefault !== 'boolean') {
    throw new Problem([...at, 'default'], `must be true or false, not ${kindOf(isDefault)}`)
  }
  checkQuantity(members.request, [...at, 'request'])
  checkQuantity(members.limit, [...at, 'limit'])
  return members
}

/** Resources that belong to an app: cpu, memory. */
export const checkOwnResource: ValueCheck = (value, at) => {
  if (checkResource(value, at).default === true) throw new Problem([...at, 'default'], 'must not be true')
}

/** Resources that are shared by default: block devices, the network. */
export const checkDefaultResource: ValueCheck = (value, at) => {
  const members = checkResource(value, at)
  if (members.default !== true) throw new Problem([...at, 'default'], 'must be true')
  if (members.request !== undefined) throw new Problem([...at, 'request'], 'must be absent')
}

function checkNames(value: JsonValue, at: Path): Members {
  const members = membersOf(value, at, SET)
  const set: JsonValue = members.set ?? []
  if (!Array.isArray(set)) throw new Problem([...at, 'set'], `must be a list, not ${kindOf(set)}`)
  if (set.length === 0) throw new Problem(at, 'set must be non-empty')
  for (const [index, item] of set.entries()) {
    if (typeof item !== 'string') throw new Problem([...at, 'set', index], `must be a string, not ${kindOf(item)}`)
  }
  return members
}

export const checkCapabilities: ValueCheck = (value, at) => {
  checkNames(value, at)
}

export const checkSeccomp: ValueCheck = (value, at) => {
  const errno = stringOf(checkNames(value, at), 'errno', at)
  if (errno === '') return
  if (!errno.startsWith('E')) throw new Problem(at, `errno must start with an 'E' character, got ${printableErrno(errno)}`)
  if (!/^[A-Z0-9]+$/.test(errno))
    throw new Problem(at, `errno can only contain upper case or numeric characters, got ${printableErrno(errno)}`)
}

/** As it is when it is a plain word, quoted otherwise. */
function printableErrno(errno: string): string {
  return /^\w{1,32}$/.test(errno) ? errno : quote(errno)
}

export const checkBoolean: ValueCheck = (value, at) => {
  if (typeof value !== 'boolean') throw new Problem(at, `must be true or false, not ${kindOf(value)}`)
}

export function checkRange(minimum: number, maximum: number): ValueCheck {
  return (value, at, name) => {
    const literal = isRawJSON(value) ? value.rawJSON : value
    if (typeof value !== 'number' && !isRawJSON(value)) throw new Problem(at, `must be an integer, not ${kindOf(value)}`)
    if (!/^-?[0-9]+$/.test(String(literal))) throw new Problem(at, `must be an integer, not ${literal}`)
    const inside = Number(literal) >= minimum && Number(literal) <= maximum
    if (!inside) throw new Problem(at, `${name} must be between ${minimum} and ${maximum}, got ${literal}`)
  }
}

export const checkSelinux: ValueCheck = (value, at) => {
  const members = membersOf(value, at, SELINUX)
  for (const key of SELINUX) {
    const text = stringOf(members, key, at)
    if (text === '') throw new Problem([...at, key], 'must not be empty')
    if (key !== 'level' && text.includes(':')) throw new Problem([...at, key], 'must not contain ":"')
  }
}

export const checkApparmor: ValueCheck = (value, at) => {
  if (stringOf(membersOf(value, at, APPARMOR), 'profile', at) === '') throw new Problem([...at, 'profile'], 'must not be empty')
}

export const checkSysctl: ValueCheck = (value, at) => {
  if (!isObject(value)) throw new Problem(at, `must be an object, not ${kindOf(value)}`)
  for (const [key, setting] of Object.entries(value)) {
    if (typeof setting !== 'string') throw new Problem([...at, key], `must be a string, not ${kindOf(setting)}`)
  }
}

function stringOf(members: Members, key: string, at: Path): string {
  const value = members[key] ?? ''
  if (typeof value !== 'string') throw new Problem([...at, key], `must be a string, not ${kindOf(value)}`)
  return value
}
