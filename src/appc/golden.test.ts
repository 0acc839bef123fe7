import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {test} from 'node:test'

import {encodeImageManifest, encodePodManifest, parseImageManifest, parsePodManifest, probeManifest} from './index.ts'

/** A folder per case: `input.manifest` as somebody wrote it; `compact.manifest` and `indented.manifest` as we write it. */
const CASES = new URL('testdata/', import.meta.url)

/** Reads and writes a manifest of either kind. */
function rewrite(text: string, indent?: string): string {
  const options = indent === undefined ? {} : {indent}
  return probeManifest(text, 'a test') === 'ImageManifest'
    ? encodeImageManifest(parseImageManifest(text, 'a test'), options)
    : encodePodManifest(parsePodManifest(text, 'a test'), options)
}

for (const name of readdirSync(CASES)) {
  const read = (file: string) => readFileSync(new URL(`${name}/${file}`, CASES), 'utf8')

  test(`${name} is written canonically, compact and indented`, () => {
    assert.equal(rewrite(read('input.manifest')), read('compact.manifest'))
    assert.equal(`${rewrite(read('input.manifest'), '\t')}\n`, read('indented.manifest'))
  })

  test(`${name} in its canonical form is written as it is`, () => {
    assert.equal(rewrite(read('compact.manifest')), read('compact.manifest'))
    assert.equal(rewrite(read('indented.manifest')), read('compact.manifest'))
  })
}
