import type {AcIdentifier} from '../appc/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {type AddKeysPorts, addKeys} from './add-keys.ts'
import {openpgpKeys} from './key-kinds.ts'
import type {Keystore} from './keystore.ts'

export interface DiscoverKeysPorts extends Omit<AddKeysPorts, 'keys'> {
  readonly keystore: Keystore
  /** URLs of keys that the publisher of a name gives out; plain http may be asked only if `allowHttp`. */
  readonly locate: (name: AcIdentifier, options: {readonly allowHttp: boolean}) => Promise<readonly string[]>
}

export interface DiscoverKeysOptions {
  readonly insecure: {readonly http: boolean; readonly pubkey: boolean; readonly tls: boolean}
  readonly trustKeysFromHttps: boolean
}

/**
 * Before an image is fetched by name: offers the keys that its publisher gives out for review, unless keys for the name are there
 * already. It never fails: whatever goes wrong is noted, and the image is judged by the keys that are trusted then.
 */
export async function discoverKeys(ports: DiscoverKeysPorts, name: AcIdentifier, options: DiscoverKeysOptions): Promise<void> {
  const {diagnostics, keystore} = ports
  const {insecure, trustKeysFromHttps} = options
  const note = (message: string) => diagnostics.note('image', message)
  try {
    if (keystore.hasKeysFor(name)) return note(`keys already exist for prefix "${name}", not fetching again`)
  } catch (error) {
    return note(`error checking for existing keys: ${causeChain(error).at(-1)}`)
  }
  if (insecure.pubkey) note('signing keys may be downloaded from an insecure connection')
  else if (insecure.tls) return
  const allowHttp = insecure.pubkey && insecure.http
  let locations: readonly string[]
  try {
    locations = await locateKeys(ports, name, allowHttp)
  } catch (error) {
    return note(`error determining key location: ${causeChain(error).at(-1)}`)
  }
  try {
    const keys = openpgpKeys(keystore)
    const review = {skipFingerprintReview: false, trustKeysFromHttp: insecure.pubkey, trustKeysFromHttps}
    await addKeys({...ports, keys}, {allowHttp, locations, prefix: name, ...review})
  } catch (error) {
    note(`error adding keys: ${causeChain(error).at(-1)}`)
  }
}

/** @throws RktError RKT_DISCOVERY_FAILED */
export async function locateKeys(
  {locate}: Pick<DiscoverKeysPorts, 'locate'>,
  name: AcIdentifier,
  allowHttp: boolean,
): Promise<readonly string[]> {
  let locations: readonly string[]
  try {
    locations = await locate(name, {allowHttp})
  } catch (cause) {
    throw new RktError('RKT_DISCOVERY_FAILED', 'prefix meta discovery error', {cause})
  }
  if (locations.length === 0) throw new RktError('RKT_DISCOVERY_FAILED', `meta discovery on ${name} resulted in no keys`)
  return locations
}
