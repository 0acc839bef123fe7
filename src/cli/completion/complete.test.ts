/** What users are told of a command is told everywhere: in its help, its manual page and its completion. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {test} from 'node:test'
import '../engine-hooks.ts'

const root = resolve(import.meta.dirname, '../../..')

async function commands() {
  const {catalog} = await import('../catalog.ts')
  const visible = catalog.entries.filter(({hidden}) => !hidden)
  return await Promise.all(visible.map(async ({id, load}) => ({command: (await load()).default, id})))
}

test('every option of every command is in its help, its manual page and its completion', async () => {
  const {bashCompletion} = await import('./bash.ts')
  const {globalFlags} = await import('../globals.ts')
  const all = await commands()
  const completion = bashCompletion(all.map(({command: {flags}, id}) => ({flags, id})))
  const asked = all.map(({id}) => `echo "$(__rkt_options '${id}') $(__rkt_options '')"`).join('\n')
  const offers = execFileSync('bash', ['--norc', '-c', `${completion}\n${asked}`], {encoding: 'utf8'}).split('\n')

  for (const [index, {command, id}] of all.entries()) {
    const file = ['rkt', ...id.split(' ')].join('-')
    const manual = readFileSync(join(root, 'man', `${file}.1`), 'utf8').replaceAll('\\-', '-')
    const help = readFileSync(join(root, 'test/golden/help', `${file}.txt`), 'utf8')
    const offered = new Set(offers[index]?.split(' ').map((word) => word.replace(/=$/, '')))
    for (const [name, {hidden}] of Object.entries({...globalFlags, ...command.flags})) {
      if (hidden) continue
      const option = new RegExp(`--${name}[=[]`)
      assert.match(manual, option, `${file}.1`)
      assert.match(help, option, `${file}.txt`)
      assert.ok(offered.has(`--${name}`), `completion of rkt ${id}: --${name}`)
    }
  }
})

test('completion knows of every command what may stand behind it', async () => {
  const {words} = await import('./words.ts')
  const taking = (await commands()).filter(
    ({command: {args, strict, usage}}) => Object.keys(args).length > 0 || !strict || /\bIMAGE\b/.test(String(usage)),
  )

  assert.deepEqual(Object.keys(words).toSorted(), taking.map(({id}) => id).toSorted())
})
