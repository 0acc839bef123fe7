import {RktError} from '../errors.ts'
import {type Pod, PodContents} from '../pod/index.ts'

/** The app that is meant: the named one, or the only one of the pod. */
export function chooseApp(
  pod: Pod,
  named: string,
  command: 'app exec' | 'attach' | 'enter' | 'export',
  note: (line: string) => void,
): string {
  const failure = command === 'export' ? 'unable to find app' : 'unable to determine app name'
  const fail = (reason: string) => new RktError('RKT_POD_APP', failure, {cause: new Error(reason)})
  const names = new PodContents(pod).manifest().apps.map(({name}): string => name)
  if (named !== '') {
    if (!names.includes(named)) throw fail(`app ${named} is not present in pod`)
    return named
  }
  const [only, ...more] = names
  if (only === undefined) throw fail('pod contains zero apps')
  if (more.length === 0) return only
  note('pod contains multiple apps:')
  for (const name of names) note(`\t${name}`)
  throw fail(`specify app using "rkt ${command} --app= ..."`)
}
