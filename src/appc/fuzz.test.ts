import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {test} from 'node:test'

import {RktError} from '../errors.ts'
import {
  encodeImageManifest,
  encodePodManifest,
  type ImageManifest,
  type PodManifest,
  parseImageManifest,
  parsePodManifest,
  probeManifest,
} from './index.ts'

const CASES = new URL('testdata/', import.meta.url)
const inputs = readdirSync(CASES).map((name) => readFileSync(new URL(`${name}/input.manifest`, CASES)))

/** A repeatable source of numbers below a bound (mulberry32). */
function dice(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

function read(document: string | Uint8Array): ImageManifest | PodManifest {
  return probeManifest(document, 'x') === 'ImageManifest' ? parseImageManifest(document, 'x') : parsePodManifest(document, 'x')
}

function write(manifest: ImageManifest | PodManifest): string {
  return manifest.acKind === 'ImageManifest' ? encodeImageManifest(manifest) : encodePodManifest(manifest)
}

/** Either a refusal of ours, or a manifest that is the same after it was written and read. */
function survives(document: string | Uint8Array): boolean {
  let manifest: ImageManifest | PodManifest
  let text: string
  try {
    manifest = read(document)
    text = write(manifest)
  } catch (thrown) {
    assert.ok(thrown instanceof RktError, `${thrown}`)
    assert.match(thrown.code, /^RKT_MANIFEST_/)
    assert.doesNotMatch(thrown.message, /[\u0000-\u001f\u007f-\u009f]/)
    return false
  }
  assert.deepEqual(read(text), manifest)
  assert.equal(write(read(text)), text)
  return true
}

test('bytes changed at random are refused, or read as something that survives writing', () => {
  const roll = dice(1)
  let survivors = 0
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Uint8Array.from(inputs[roll(inputs.length)] ?? [])
    for (let change = 0; change <= roll(3); change += 1) bytes[roll(bytes.length)] = roll(256)
    if (survives(bytes)) survivors += 1
  }
  assert.ok(survivors > 100, `only ${survivors} survived: the test proves too little`)
})

test('a manifest cut off anywhere is refused', () => {
  for (const input of inputs) {
    const whole = input.toString().trimEnd()
    for (let length = 0; length < whole.length; length += 1) assert.equal(survives(Buffer.from(whole).subarray(0, length)), false)
  }
})

const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  '',
  'x',
  'A',
  '/',
  '\u0000',
  [],
  [null],
  [[]],
  {},
  {name: 'a'},
  {__proto__: null, name: null},
]

/** A copy in which one value, found by a walk at random, is replaced by an odd one. */
function replaced(value: unknown, roll: (bound: number) => number): unknown {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const key = keys[roll(Math.max(keys.length, 1))]
  if (key === undefined || roll(6) === 0) return ODD[roll(ODD.length)]
  const member = replaced((value as Record<string, unknown>)[key], roll)
  if (Array.isArray(value)) return value.with(Number(key), member)
  return {...(value as object), [key]: member}
}

test('values replaced at random are refused, or read as something that survives writing', () => {
  const roll = dice(2)
  const documents = inputs.map((input) => JSON.parse(input.toString()) as unknown)
  let survivors = 0
  for (let round = 0; round < 3000; round += 1) {
    if (survives(JSON.stringify(replaced(documents[roll(documents.length)], roll)))) survivors += 1
  }
  assert.ok(survivors > 100, `only ${survivors} survived: the test proves too little`)
})
