import assert from 'node:assert/strict'
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import './engine-hooks.ts'

const golden = join(import.meta.dirname, '../../test/golden/help')

/** The help of everything that is visible, by the words that ask for it. */
async function helpTexts(): Promise<Map<string, string>> {
  const {catalog} = await import('./catalog.ts')
  const {commandHelp, groupHelp, rootHelp} = await import('./help.ts')
  const texts = new Map([['rkt', rootHelp(catalog)]])
  for (const group of Object.keys(catalog.groups)) texts.set(`rkt ${group}`, groupHelp(catalog, group))
  for (const {hidden, id, load} of catalog.entries) {
    const {default: command} = await load()
    if (!hidden) texts.set(`rkt ${id}`, commandHelp(id, command))
  }
  return texts
}

test('help texts are those that were read in review (UPDATE_GOLDEN=1 writes them anew)', async () => {
  const texts = await helpTexts()
  const fileOf = (words: string) => join(golden, `${words.replaceAll(' ', '-')}.txt`)
  if (process.env.UPDATE_GOLDEN === '1') {
    rmSync(golden, {force: true, recursive: true})
    mkdirSync(golden, {recursive: true})
    for (const [words, text] of texts) writeFileSync(fileOf(words), text)
  }

  assert.deepEqual(readdirSync(golden).toSorted(), [...texts.keys()].map((words) => `${words.replaceAll(' ', '-')}.txt`).toSorted())
  for (const [words, text] of texts) assert.equal(text, readFileSync(fileOf(words), 'utf8'), words)
})

test('every visible option of every command has a description, and every command a summary', async () => {
  const {catalog} = await import('./catalog.ts')
  for (const {id, load, summary} of catalog.entries) {
    const {default: command} = await load()
    assert.notEqual(summary, '', id)
    for (const [name, flag] of Object.entries(command.flags)) assert.notEqual(flag.description, '', `${id} --${name}`)
  }
})
