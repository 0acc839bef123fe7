import {RktError} from '../errors.ts'
import {parseAcIdentifier} from './names.ts'
import {parseParameters} from './parameters.ts'
import {quoteWhole as quote} from './text.ts'
import type {AcIdentifier, Label} from './types.ts'

/** An image as it is asked for: a name and the labels that it must carry. */
export interface ImageString {
  readonly name: AcIdentifier
  readonly labels: Label[]
}

/** `name[:version][,label=value]…`; the version comes first among the labels. */
export function parseImageString(text: string): ImageString {
  const colon = text.indexOf(':')
  const comma = text.indexOf(',')
  try {
    if (colon !== text.lastIndexOf(':')) throw new Error('more than one ":"')
    if (comma >= 0 && colon > comma) throw new Error('":" behind the first ","')
    const parameters = parseParameters(`name=${text.replace(':', ',version=')}`, {code: 'RKT_BAD_IMAGE_NAME'})
    const name = parseAcIdentifier(parameters.get('name') ?? '')
    parameters.delete('name')
    return {labels: [...parameters].map(([label, value]) => ({name: parseAcIdentifier(label), value})), name}
  } catch (cause) {
    throw new RktError('RKT_BAD_IMAGE_NAME', `cannot parse the image name ${quote(text)}`, {cause})
  }
}

/** The text that reads back as this; label values with `,` or `:` have none. */
export function formatImageString({labels, name}: {readonly name: string; readonly labels?: readonly Label[] | undefined}): string {
  const version = labels?.find((label) => label.name === 'version')
  const others = labels?.filter((label) => label !== version) ?? []
  return [version === undefined ? name : `${name}:${version.value}`, ...others.map((label) => `${label.name}=${label.value}`)].join(',')
}
