import assert from 'node:assert/strict'
import {test} from 'node:test'
import {checkImports, importsOf} from './check-imports.ts'

const check = (files: Record<string, string[]>) => checkImports(new Map(Object.entries(files)))

test('imports along the arrows and through front doors pass', () => {
  const problems = check({
    'plugins/image/src/commands/list.ts': ['@rkt/engine', 'node:fs', 'tar-stream', '../table.ts'],
    'src/appc/names.ts': ['../errors.ts'],
    'src/cli/command.ts': ['../engine/index.ts', './args.ts'],
    'src/commands/stop.ts': ['../cli/index.ts', '../errors.ts'],
    'src/store/store.ts': ['../native/contract.ts', '../native/index.ts', '../appc/index.ts'],
  })

  assert.deepEqual(problems, [])
})

test('an import against the arrows is refused', () => {
  const problems = check({'src/appc/names.ts': ['../config/index.ts'], 'src/store/store.ts': ['../pod/index.ts']})

  assert.deepEqual(problems, [
    'src/appc/names.ts: imports ../config/index.ts: appc may know only errors',
    'src/store/store.ts: imports ../pod/index.ts: store must not know pod',
  ])
})

test('a room is entered by its front door', () => {
  assert.deepEqual(check({'src/pod/run.ts': ['../store/blobs.ts']}), [
    'src/pod/run.ts: imports ../store/blobs.ts: enter store through src/store/index.ts',
  ])
})

test('a plugin sees the public API only', () => {
  assert.deepEqual(check({'plugins/image/src/list.ts': ['../../../src/store/index.ts', '@rkt/plugin-trust']}), [
    'plugins/image/src/list.ts: imports ../../../src/store/index.ts: a plugin imports nothing outside of its package',
    'plugins/image/src/list.ts: imports @rkt/plugin-trust: a plugin imports @rkt/engine, and no other part of rkt',
  ])
})

test('a circle is refused, also through a third file', () => {
  const problems = check({'src/pod/a.ts': ['./b.ts'], 'src/pod/b.ts': ['./c.ts'], 'src/pod/c.ts': ['./a.ts']})

  assert.deepEqual(problems, ['circle: src/pod/a.ts -> src/pod/b.ts -> src/pod/c.ts -> src/pod/a.ts'])
})

test('imports are found in all their forms, and not in comments', () => {
  const source = `
import type {A} from './a.ts'
import {
  b,
} from './b.ts'
import './c.ts'
export {d} from './d.ts'
// import {x} from './x.ts'
/* import {y} from './y.ts' */
const e = await import('./e.ts')
`
  assert.deepEqual(importsOf(source), ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts'])
})
