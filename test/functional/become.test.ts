import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {test} from 'node:test'
import {aHost, compileProgram, eventually, program, rktProgram, runProgram} from './harness/index.ts'

interface State {
  readonly blocked: number[]
  readonly descriptors: Record<string, {access: number; closeOnExec: number; nonBlocking: number}>
  readonly ignored: number[]
  readonly launch: number
  readonly limits: Record<string, [number, number]>
  readonly listenFds: string
  readonly nodeOptions: string
  readonly pid: number
  readonly umask: number
}

const sigusr1 = 10
const sigusr2 = 12

/** What a program starts with when the same odd caller starts it directly. */
async function callerState(env: Record<string, string> = {}): Promise<State> {
  const {stderr, stdout} = await runProgram([compileProgram('odd'), compileProgram('state')], {env})
  assert.match(stdout, /^\{/, stderr)
  return JSON.parse(stdout)
}

function stateIn(output: string): State {
  const text = /\{"ignored".*\}/.exec(output)?.[0]
  assert.ok(text !== undefined, output)
  return JSON.parse(text)
}

for (const [flavor, options] of Object.entries({fly: ['--stage1-name=coreos.com/rkt/stage1-fly:2.0.0'], native: []})) {
  test(`${flavor}: inside the app, signals, mask, limits and umask are those of the caller of rkt`, async () => {
    await using host = await aHost()
    const caller = await callerState()
    assert.ok(caller.ignored.includes(sigusr1) && caller.blocked.includes(sigusr2), 'the caller is odd')
    assert.equal(caller.umask, 0o027)
    assert.equal(caller.limits.nofile?.[0], 777)

    const result = await runProgram([
      compileProgram('odd'),
      rktProgram,
      ...host.globals,
      'run',
      '--net=host',
      ...options,
      await program('state'),
    ])

    assert.equal(result.status, 0, result.stderr)
    const app = stateIn(result.stdout)
    assert.deepEqual(app.ignored, caller.ignored)
    assert.deepEqual(app.blocked, caller.blocked)
    assert.deepEqual(app.limits, caller.limits)
    assert.equal(app.umask, caller.umask)
    assert.equal(app.launch, 0, 'the launcher leaves no trace in the environment')
  })

  test(`${flavor}: an ordinary caller's app starts with nothing ignored and nothing blocked`, async () => {
    await using host = await aHost()
    const plain = JSON.parse((await runProgram([compileProgram('state')])).stdout)

    const app = stateIn(await host.ok(['run', '--net=host', ...options, await program('state')]))

    assert.deepEqual([app.ignored, app.blocked], [plain.ignored, plain.blocked])
    assert.deepEqual(app.limits, plain.limits)
    assert.equal(app.umask, plain.umask)
  })
}

test('fly: the app has the descriptors of the caller, with their flags, and none of stage0 but the lock', async () => {
  await using host = await aHost()
  const caller = await callerState()

  const result = await runProgram([
    compileProgram('odd'),
    rktProgram,
    ...host.globals,
    'run',
    '--net=host',
    '--stage1-name=coreos.com/rkt/stage1-fly:2.0.0',
    await program('state'),
  ])

  assert.equal(result.status, 0, result.stderr)
  const {descriptors} = stateIn(result.stdout)
  for (const fd of ['0', '1', '2', '3']) assert.deepEqual(descriptors[fd], caller.descriptors[fd], `descriptor ${fd}`)
  assert.equal(descriptors['9'], undefined, "a stray descriptor of the caller is not the pod's")
  const others = Object.keys(descriptors).filter((fd) => Number(fd) > 3)
  assert.ok(others.length <= 1, `one lock at most: ${others}`)
})

test('native: the app has its three streams and nothing else', async () => {
  await using host = await aHost()

  const result = await runProgram([compileProgram('odd'), rktProgram, ...host.globals, 'run', '--net=host', await program('state')])

  assert.equal(result.status, 0, result.stderr)
  const {descriptors} = stateIn(result.stdout)
  assert.deepEqual(Object.keys(descriptors), ['0', '1', '2'])
  for (const [fd, {closeOnExec, nonBlocking}] of Object.entries(descriptors)) assert.deepEqual([fd, closeOnExec, nonBlocking], [fd, 0, 0])
})

test("the caller's NODE_OPTIONS steers no Node of ours, and reaches the pod's first process", async () => {
  await using host = await aHost()
  const env = {NODE_OPTIONS: '--no-such-option'}

  const result = await host.rkt(
    ['run', '--net=host', '--stage1-name=coreos.com/rkt/stage1-fly:2.0.0', '--inherit-env', await program('state')],
    {env},
  )

  assert.equal(result.status, 0, result.stderr)
  assert.equal(stateIn(result.stdout).nodeOptions, '--no-such-option')
})

test('native: the outer process holds the lock of the pod, and the app does not', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await program('state'), '--exec=/bin/sleep', '--', '1000'])
  const inodeOf = async (): Promise<string> => (await runProgram(['stat', '-c', '%i', pod.dir])).stdout.trim()
  const inode = await inodeOf()

  const locks = await eventually(
    () =>
      readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter((line) => line.includes(`:${inode} `)),
    'the lock',
  )

  assert.equal(locks.length, 1, 'exactly one lock on the pod directory')
  const holders = await runProgram(['sh', '-c', `ls -l /proc/*/fd 2>/dev/null | grep -c ' ${pod.dir}$' || true`])
  assert.ok(Number(holders.stdout) >= 1)
  const inApp = await pod.enter('/bin/sh', '-c', 'ls -l /proc/*/fd | grep pods/run || true')
  assert.equal(inApp, '')
  await pod.stop()
})
