import assert from 'node:assert/strict'
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {test} from 'node:test'
import {encodePodManifest, parseImageManifest} from '../appc/index.ts'
import {EngineCommand} from '../cli/index.ts'
import {asRktError, causeChain} from '../errors.ts'
import type {ImageKey} from '../store/index.ts'
import {checkAllMounts, manifestFor, podFlags} from './_preparation.ts'

const testdata = new URL('testdata/', import.meta.url)
const filesPath = new URL('files', testdata).pathname

/** What `run` and `prepare` make of their words, without an engine: images are manifests of testdata/images. */
class Manifest extends EngineCommand {
  static override flags = podFlags

  async run(): Promise<string> {
    const {flags, images} = await this.parseImages(Manifest)
    checkAllMounts(flags, images)
    const found = images.map(({reference}, index) => ({
      key: `sha512-${String(index + 1).repeat(64)}` as ImageKey,
      manifest: parseImageManifest(readFileSync(new URL(`images/${reference}.manifest`, testdata)), reference),
    }))
    return encodePodManifest({...manifestFor(flags, images, found), acVersion: '2.0.0'}, {indent: '\t'})
  }
}

async function outcomeOf(words: readonly string[]): Promise<string> {
  try {
    return `${await Manifest.run([...words])}\n`
  } catch (error) {
    const chain = causeChain(asRktError(error))
    return `${chain.join('\n').replaceAll(filesPath, 'FILES')}\n`
  }
}

// One folder a case: `words`, one a line, and what they come to: a manifest, or the chain of a failure.
// RKT_UPDATE_GOLDEN=1 writes what is expected; read it before it is committed.
for (const name of readdirSync(new URL('manifest/', testdata))) {
  test(`pod manifest: ${name.replaceAll('-', ' ')}`, async () => {
    const directory = new URL(`manifest/${name}/`, testdata)
    const words = readFileSync(new URL('words', directory), 'utf8').trimEnd().split('\n')

    const outcome = await outcomeOf(words.map((word) => word.replace('FILES', filesPath)))

    const expected = new URL(name.startsWith('refused') ? 'failure' : 'pod.manifest', directory)
    if (process.env.RKT_UPDATE_GOLDEN !== undefined) writeFileSync(expected, outcome)
    assert.ok(existsSync(expected), `${expected.pathname} is missing`)
    assert.equal(outcome, readFileSync(expected, 'utf8'))
  })
}
