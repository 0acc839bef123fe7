import {type Isolator, makeIsolator} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {AppOverrides} from './request.ts'

const capabilities = ['os/linux/capabilities-retain-set', 'os/linux/capabilities-remove-set']
const seccompSets = ['os/linux/seccomp-retain-set', 'os/linux/seccomp-remove-set']

/** The image's isolators with what the command line changes: quantities go behind them (the last one counts), sets replace. */
export function overrideIsolators(image: readonly Isolator[], overrides: AppOverrides): Isolator[] {
  const {capsRemove, capsRetain, cpu, cpuShares, memory, oomScoreAdj, seccomp} = overrides
  if (capsRetain && capsRemove)
    throw new RktError('RKT_POD_MANIFEST', 'error: cannot use both --caps-retain and --caps-remove on the same image')
  let isolators = [...image]
  const replace = (names: readonly string[], replacement: Isolator) => {
    isolators = [...isolators.filter(({name}) => !names.includes(name)), replacement]
  }
  if (capsRetain) replace(capabilities, makeIsolator('os/linux/capabilities-retain-set', {set: capsRetain}))
  if (capsRemove) replace(capabilities, makeIsolator('os/linux/capabilities-remove-set', {set: capsRemove}))
  if (seccomp !== undefined) replace(seccompSets, parseSeccompOverride(seccomp))
  if (memory !== undefined) isolators.push(makeIsolator('resource/memory', {limit: memory, request: memory}))
  if (cpu !== undefined) isolators.push(makeIsolator('resource/cpu', {limit: cpu, request: cpu}))
  // At most one of each may be in a manifest.
  if (cpuShares !== undefined) replace(['os/linux/cpu-shares'], makeIsolator('os/linux/cpu-shares', cpuShares))
  if (oomScoreAdj !== undefined) replace(['os/linux/oom-score-adj'], makeIsolator('os/linux/oom-score-adj', oomScoreAdj))
  return isolators
}

/** `mode=retain|remove[,errno=ENAME],CALL|@group,…` */
export function parseSeccompOverride(text: string): Isolator {
  const hint = 'Write it as --seccomp=mode=retain|remove[,errno=NAME],CALL|@GROUP,…'
  const fail = (message: string) => new RktError('RKT_BAD_SECCOMP', message, {hint})
  let mode: string | undefined
  let errno: string | undefined
  const set: string[] = []
  for (const word of text.split(',')) {
    const [key, value, ...more] = word.split('=')
    if (value === undefined) set.push(word)
    else if (more.length > 0) throw fail('invalid seccomp command-line override')
    else if (key === 'mode' && mode === undefined) mode = value
    else if (key === 'errno' && errno === undefined) errno = value
    else throw fail('invalid seccomp command-line override')
  }
  if (mode !== 'retain' && mode !== 'remove') throw fail('invalid seccomp mode command-line override')
  const calls = set.filter((call) => call !== '')
  if (calls.length === 0) throw fail('set must be non-empty')
  if (errno !== undefined && !errno.startsWith('E')) throw fail(`errno must start with an 'E' character, got ${errno}`)
  if (errno !== undefined && !/^[A-Z0-9]+$/.test(errno)) throw fail(`errno can only contain upper case or numeric characters, got ${errno}`)
  return makeIsolator(`os/linux/seccomp-${mode}-set`, {set: calls, ...(errno !== undefined && {errno})})
}
