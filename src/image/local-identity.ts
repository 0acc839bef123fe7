import {basename} from 'node:path'
import {RktError} from '../errors.ts'
import {type DockerReference, fullReference, parseDockerReference} from '../oci/index.ts'

/** Which image a file is about: as it says itself, else by the name of the file, of no registry. */
export type LocalName = Pick<DockerReference, 'host' | 'repository' | 'tag' | 'typed'>

/** The first of the names that is a whole reference; a bare tag belongs to the name of the file. */
export function localName(names: readonly string[], path: string): LocalName {
  for (const name of names) {
    const reference = isWhole(name) ? parsed(name) : null
    if (reference !== null) return {...reference, typed: name}
  }
  const repository = basename(path)
    .toLowerCase()
    .replace(/\.(?:tar|tgz|oci)(?:\.(?:gz|zst))?$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const tag = names.find((name) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(name)) ?? null
  const named = {host: 'localhost', repository: repository === '' ? 'image' : repository, tag, typed: ''}
  return {...named, typed: referenceOf(named)}
}

/** Spelled out, as signatures name it. */
export function referenceOf({host, repository, tag}: LocalName): string {
  return tag === null ? `${host}/${repository}` : `${host}/${repository}:${tag}`
}

const isWhole = (name: string): boolean => /[/:]/.test(name)

function parsed(name: string): DockerReference | null {
  try {
    return parseDockerReference(name)
  } catch (error) {
    if (error instanceof RktError) return null
    throw error
  }
}

/** Whether a name of an image is what was asked for: the same text, or the same reference. */
export function isNamed(name: string, wanted: string): boolean {
  if (name === wanted) return true
  const [a, b] = [parsed(name), parsed(wanted)]
  return a !== null && b !== null && isWhole(name) && fullReference(a) === fullReference(b)
}

/** The refusal where a file holds several images, or not the one that was asked for. */
export function whichImage(path: string, ref: string | null, offered: readonly string[]): RktError {
  const list = offered.length === 0 ? 'It names no image.' : `It has ${offered.map((name) => JSON.stringify(name)).join(', ')}.`
  return ref === null
    ? new RktError('RKT_IMAGE_AMBIGUOUS', `${path} holds ${offered.length === 0 ? 'no image' : 'several images'}`, {
        hint: offered.length === 0 ? list : `${list} Say which one behind a colon.`,
      })
    : new RktError('RKT_IMAGE_NOT_FOUND', `${path} holds no image ${JSON.stringify(ref)}`, {hint: list})
}
