/** The grammar of commands that take images: each image is followed by its own options and, behind `--`, its app's arguments. */

import type {FlagInput} from '../flags.ts'
import {Values} from './collect.ts'
import {looksLikeOption, OptionError, readOption} from './options.ts'
import {deprecation, refuseBeforeImages} from './parse.ts'

export interface ScannedImage {
  readonly reference: string
  readonly values: Values
  readonly args: string[]
}

export interface ScanOptions {
  /** False for commands that start nothing (`fetch`). */
  readonly appArguments: boolean
}

/**
 * Scans the words behind a command's leading options. `pod` takes what does not belong to one image.
 *
 * `--` begins the arguments of the last image's app, a lone `---` ends them; outside of them a `---` means nothing.
 */
export function scanImages(words: readonly string[], flags: FlagInput, pod: Values, {appArguments}: ScanOptions) {
  const images: ScannedImage[] = []
  const notices: string[] = []
  const hasArguments = new Set<ScannedImage>()
  let inArguments = false

  const beginArguments = () => {
    const image = images.at(-1)
    if (!appArguments) throw new OptionError('app arguments unsupported')
    if (!image) throw new OptionError('an image is required before any app arguments')
    if (hasArguments.has(image)) throw new OptionError('only one set of app arguments allowed per image')
    hasArguments.add(image)
    inArguments = true
  }

  for (let at = 0; at < words.length; ) {
    const word = words[at] ?? ''
    if (inArguments) {
      if (word === '---') inArguments = false
      else images.at(-1)?.args.push(word)
      at += 1
    } else if (word === '--') {
      beginArguments()
      at += 1
    } else if (word === '' || word === '---') {
      at += 1
    } else if (looksLikeOption(word)) {
      const {next, occurrences} = readOption(words, at, flags)
      for (const occurrence of occurrences) {
        const image = images.at(-1)
        if (!image) refuseBeforeImages(occurrence)
        const target = occurrence.flag.perImage === false ? pod : (image?.values ?? pod)
        target.add(occurrence)
        notices.push(...deprecation(occurrence))
      }
      at = next
    } else {
      images.push({args: [], reference: word, values: new Values(flags)})
      at += 1
    }
  }
  return {images, notices}
}
