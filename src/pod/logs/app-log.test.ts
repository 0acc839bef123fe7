import assert from 'node:assert/strict'
import {appendFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {AppLog, loggedApps} from './app-log.ts'

class Directory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'rkt-log-'))

  write(name: string, ...texts: string[]): void {
    appendFileSync(join(this.path, name), texts.map((text) => `2026-11-25T22:49:56.123456789Z stdout F ${text}\n`).join(''))
  }

  rename(from: string, to: string): void {
    renameSync(join(this.path, from), join(this.path, to))
  }

  [Symbol.dispose](): void {
    rmSync(this.path, {recursive: true})
  }
}

async function texts(log: AppLog): Promise<string[]> {
  const found: string[] = []
  for await (const batch of log.read()) found.push(...batch.map(({text}) => text.toString()))
  return found
}

test('a log is read with what was put aside before it, the oldest first', async () => {
  using directory = new Directory()
  for (const [name, text] of Object.entries({'app-2.log': 'other', 'app.log': 'new', 'app.log.1': 'older', 'app.log.10': 'oldest'})) {
    directory.write(name, text)
  }
  await using log = new AppLog(directory.path, 'app')

  assert.deepEqual(await texts(log), ['oldest', 'older', 'new'])
  assert.deepEqual(await texts(log), [])
  for (const name of ['notes', 'x.log.tmp']) directory.write(name, 'no log')
  assert.deepEqual(await loggedApps(directory.path), ['app', 'app-2'])
  assert.deepEqual(await loggedApps(join(directory.path, 'nowhere')), [])
})

test('what is written before and after a rotation is read once, also when several came between two looks', async () => {
  using directory = new Directory()
  await using log = new AppLog(directory.path, 'app')
  assert.deepEqual(await texts(log), [])
  directory.write('app.log', 'a')
  assert.deepEqual(await texts(log), ['a'])

  directory.write('app.log', 'b')
  directory.rename('app.log', 'app.log.1')
  directory.write('app.log', 'c')
  assert.deepEqual(await texts(log), ['b', 'c'])

  directory.rename('app.log.1', 'app.log.2')
  directory.rename('app.log', 'app.log.1')
  directory.write('app.log', 'd')
  directory.rename('app.log.2', 'app.log.3')
  directory.rename('app.log.1', 'app.log.2')
  directory.rename('app.log', 'app.log.1')
  directory.write('app.log', 'e')
  assert.deepEqual(await texts(log), ['d', 'e'])
})

test('a line is given out when it has come to its end, and a link is no log', async () => {
  using directory = new Directory()
  await using log = new AppLog(directory.path, 'app')
  writeFileSync(join(directory.path, 'app.log'), '2026-11-25T22:49:56.123456789Z stdout F be')
  assert.deepEqual(await texts(log), [])
  appendFileSync(join(directory.path, 'app.log'), 'gun\nno line of a log\n')
  assert.deepEqual(await texts(log), ['begun'])

  symlinkSync('/etc/passwd', join(directory.path, 'link.log'))
  await using link = new AppLog(directory.path, 'link')
  await assert.rejects(texts(link), {code: 'RKT_LOG'})
})
