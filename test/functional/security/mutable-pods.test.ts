/** Who may tell pid 1 of a pod which apps there are: the host, and nobody inside. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, aSandbox, compileProgram, eventually, program, runProgram} from '../harness/index.ts'

const ways = (text: string) => [...text.matchAll(/REACHED (\w+)/g)].map(([, way]) => way)

test('an app of uid 0 finds no way to the socket where pid 1 takes orders, and a command beside it neither', async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await program('reach-control')])).trim()
  const {dir, process, uuid} = await aSandbox(host, '--net=none')
  for (const [name, ...words] of [
    ['seeker', '--exec=/bin/reach-control'],
    ['other', '--exec=/bin/sleep', '--', '1000'],
  ] as const) {
    await host.ok(['app', 'add', uuid, image, `--name=${name}`, ...words])
  }
  await host.ok(['app', 'start', uuid, '--app=other'])
  await host.ok(['app', 'start', uuid, '--app=seeker'])

  const [, tried] = await process.says(/seeker\[\d+\]: tried (\d+)/)
  assert.ok(Number(tried) > 1200, `${tried} ways: those by two processes at least`)
  assert.deepEqual(ways(process.stdout), [])
  const beside = await host.ok(['app', 'exec', '--app=other', uuid, '/bin/reach-control'])
  assert.match(beside, /^tried \d+$/m)
  assert.deepEqual(ways(beside), [])

  // The host has such ways, so the program would have found them.
  const pid = readFileSync(join(dir, 'pid'), 'latin1').trim()
  const {stdout} = await runProgram([compileProgram('reach-control'), pid])
  for (const way of ['link', 'descriptor', 'namespace']) assert.ok(ways(stdout).includes(way), `${way} in ${stdout}`)

  // And pid 1 takes orders as before.
  await host.ok(['app', 'stop', uuid, '--app=other'])
  await eventually(async () => /exit_code=/.test(await host.ok(['app', 'status', uuid, '--app=seeker'])), 'the end of the app')
  await host.ok(['stop', uuid])
  assert.equal((await process.exit).status, 0)
})
