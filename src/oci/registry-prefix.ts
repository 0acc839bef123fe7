import {sanitizeAcIdentifier} from '../appc/index.ts'
import {RktError} from '../errors.ts'

const hub = 'registry-1.docker.io'

/**
 * The prefix of image names that a user means by `[docker://]HOST[:PORT][/NAME]`: names of images hold no colon, so a port becomes part
 * of the host's name (`localhost:5000/x` is `localhost_5000/x`), and Docker Hub has one name.
 * @throws RktError RKT_BAD_PREFIX
 */
export function registryPrefix(typed: string): string {
  const [host = '', ...path] = typed.replace(/^docker:(?:\/\/)?/i, '').split('/')
  const last = path.at(-1) ?? ''
  if (/[:@]/.test(last) || (path.length === 0 && /:(?!\d{1,5}$)/.test(host))) {
    throw new RktError('RKT_BAD_PREFIX', `--prefix ${JSON.stringify(typed)} names one version of an image`, {
      hint: 'Keys are trusted for all versions: leave the tag or digest away.',
    })
  }
  const named = host === 'docker.io' || host === 'index.docker.io' ? hub : host
  // as names of images are made: nothing but the host may need it
  return [/[:A-Z]/.test(named) ? sanitizeAcIdentifier(named) : named, ...path].join('/')
}
