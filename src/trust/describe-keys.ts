import {readKeys} from './read-keys.ts'

/** What a person reviews before trusting a key. */
export interface DescribedKey {
  readonly fingerprint: string
  readonly identities: readonly string[]
  readonly subkeys: readonly string[]
}

/** The keys of a key file, for review. */
export async function describeKeys(bytes: Uint8Array, failure: string): Promise<DescribedKey[]> {
  return (await readKeys(bytes, failure)).map((key) => ({
    fingerprint: key.getFingerprint(),
    identities: key.getUserIDs(),
    subkeys: key.getSubkeys().map((subkey) => subkey.getFingerprint()),
  }))
}

/** Upper-case hex in groups of four, two blanks in the middle: `3F0F 5A1C 7D3E 0000 1111  2222 3333 4444 5555 6666`. */
export function formatFingerprint(fingerprint: string): string {
  const groups = fingerprint.toUpperCase().match(/.{1,4}/g) ?? []
  const half = Math.ceil(groups.length / 2)
  return `${groups.slice(0, half).join(' ')}  ${groups.slice(half).join(' ')}`
}
