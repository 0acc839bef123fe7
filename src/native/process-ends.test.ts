import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readdirSync} from 'node:fs'
import {test} from 'node:test'
import {type ProcessEnd, ProcessEnds} from './process-ends.ts'

const endOf = (ends: ProcessEnds, pid: number) => new Promise<ProcessEnd>((resolve) => ends.watch(pid, resolve))

/** A process that is no child of ours, and what ends it. */
async function aStranger(): Promise<{end: () => void; pid: number}> {
  const shell = spawn('sh', ['-c', 'sleep 1000 & echo $!'], {stdio: ['ignore', 'pipe', 'ignore']})
  const [text] = await once(shell.stdout, 'data')
  const pid = Number(String(text))
  return {end: () => process.kill(pid, 'SIGKILL'), pid}
}

test('the end of a process that is no child is told once, and that of another is not', async () => {
  using ends = new ProcessEnds()
  const [one, two] = [await aStranger(), await aStranger()]
  const told: string[] = []
  ends.watch(two.pid, () => told.push('two'))
  const first = endOf(ends, one.pid)

  one.end()

  assert.equal(await first, 'ended')
  assert.deepEqual(told, [])
  await ended(ends)
  assert.deepEqual(told, [])
  two.end()
})

/** Ends a process and waits until that is told: what was told before it has arrived then. */
async function ended(ends: ProcessEnds): Promise<{pid: number}> {
  const {end, pid} = await aStranger()
  const told = endOf(ends, pid)
  end()
  await told
  return {pid}
}

test('a process that is gone already has ended, and one that cannot be waited for is said to be so', async () => {
  using ends = new ProcessEnds()
  const {pid} = await ended(ends)

  assert.equal(await endOf(ends, pid), 'ended')
  const thread = Number(readdirSync('/proc/self/task').find((name) => Number(name) !== process.pid))
  assert.equal(await endOf(ends, thread), 'unwatchable')
})

test('many processes are waited for at a time', async () => {
  using ends = new ProcessEnds()
  const sleepers = Array.from({length: 200}, () => spawn('sleep', ['1000'], {stdio: 'ignore'}))
  const all = sleepers.map(({pid = 0}) => endOf(ends, pid))

  for (const sleeper of sleepers) sleeper.kill('SIGKILL')

  assert.deepEqual([...new Set(await Promise.all(all))], ['ended'])
})
