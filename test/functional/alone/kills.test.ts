import assert from 'node:assert/strict'
import {existsSync} from 'node:fs'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {aHost, busybox, cgroups, contents, eventually, familyOf, type Host, mounts, processes} from '../harness/index.ts'

const rounds = process.env.RKT_TEST_LONG ? 120 : 30
const flavors: Record<string, readonly string[]> = {fly: ['--stage1-name=coreos.com/rkt/stage1-fly:2.0.0'], native: []}

/** What the machine has before a test and must have again after it. */
interface Traces {
  readonly cgroups: string[]
  readonly mounts: string[]
}

const traces = (): Traces => ({cgroups: cgroups(), mounts: mounts()})

/** One gc, which must leave no pod, no mount, no cgroup and no process. */
async function collectsCompletely(host: Host, before: Traces, what: string): Promise<void> {
  await eventually(() => !processes().some(({command}) => command.includes('rkt-kill-marker')), `${what}: the app to be gone`)
  const result = await host.rkt(['gc', '--grace-period=0s', '--expire-prepared=0s'])
  assert.equal(result.status, 0, `${what}: ${result.stderr}`)
  assert.deepEqual(host.pods(), [], `${what}: ${result.stdout}${result.stderr}`)
  assert.deepEqual(traces(), before, what)
}

/** A pod whose app can be told from others by its command line, and has a child. */
const app = ['--exec=/bin/sh', '--', '-c', 'sleep 1001 & sleep 1000; : rkt-kill-marker']

for (const [flavor, options] of Object.entries(flavors)) {
  test(`${flavor}: kill -9 of the pod's processes, one at a time, leaves what gc cleans completely`, async () => {
    await using host = await aHost()
    await host.ok(['run', '--net=host', ...options, await busybox(), '--exec=/bin/true'])
    await host.ok(['gc', '--grace-period=0s'])
    const before = traces()
    let number = 0
    for (let victim = 0, victims = 1; victim < victims; victim++) {
      const pod = await host.pod(['--net=host', ...options, await busybox(), ...app], {ready: flavor === 'native'})
      await eventually(() => familyOf(pod.process.pid).some(({command}) => command === 'sleep 1000'), 'the app')
      const family = familyOf(pod.process.pid).filter(({command}) => !command.startsWith('sleep'))
      victims = family.length
      const {pid = 0, command = ''} = family[victim] ?? {}

      process.kill(pid, 'SIGKILL')
      if (pid !== pod.process.pid && command.includes('rkt-kill-marker')) await pod.process.exit
      else await pod.process.exit

      for (const {pid: left, command: name} of familyOf(1)) {
        if (flavor === 'fly' && name.startsWith('sleep 100')) process.kill(left, 'SIGKILL') // fly isolates nothing: the app's children are the host's
      }
      await eventually(async () => /^state=exited$/m.test(await host.ok(['status', pod.uuid])), `the pod to be exited after ${command}`)
      await collectsCompletely(host, before, `killed ${command}`)
      number++
    }
    assert.ok(number >= (flavor === 'native' ? 2 : 1), `${number} processes were killed`)
  })

  test(`${flavor}: kill -9 of rkt in any phase leaves what gc cleans completely, and the store whole`, async () => {
    await using host = await aHost()
    const image = (await host.ok(['fetch', await busybox()])).trim()
    const started = performance.now()
    await host.ok(['run', '--net=host', ...options, image, '--exec=/bin/true'])
    const whole = performance.now() - started
    await host.ok(['gc', '--grace-period=0s'])
    const before = traces()
    const files = contents(host.dataDir)
    for (let round = 0; round < rounds; round++) {
      const rkt = host.start(['run', '--net=host', ...options, image, ...app])
      const delay = (whole * 1.3 * round) / rounds

      await sleep(delay)
      rkt.kill('SIGKILL')
      await rkt.exit
      if (flavor === 'fly') for (const {command, pid} of processes()) if (/sleep 100[01]/.test(command)) process.kill(pid, 'SIGKILL')

      await collectsCompletely(host, before, `killed after ${Math.round(delay)} ms`)
    }
    assert.deepEqual(contents(host.dataDir).map(withoutTimes), files.map(withoutTimes))
    await host.ok(['run', '--net=host', ...options, image, '--exec=/bin/true'])
  })
}

/** The index, its generation and the size of trees may be written anew; what they describe may not change. */
function withoutTimes(line: string): string {
  return /cas\/(db|generation)/.test(line) ? line.split(' ').slice(0, 3).join(' ') : line
}

test('kill -9 during an import never leaves half an image, and the next import works', async () => {
  await using host = await aHost()
  const image = await busybox()
  const started = performance.now()
  const id = (await host.ok(['fetch', image])).trim()
  const whole = performance.now() - started
  await host.ok(['image', 'rm', id])
  for (let round = 0; round < rounds; round++) {
    const fetch = host.start(['fetch', image])
    await sleep((whole * 1.2 * round) / rounds)
    fetch.kill('SIGKILL')
    await fetch.exit

    const listed = (await host.ok(['image', 'list', '--no-legend', '--fields=id'])).trim()
    if (listed !== '') {
      await host.ok(['image', 'export', '--overwrite', id, host.path('whole.aci')])
      await host.ok(['image', 'render', '--overwrite', '--rootfs-only', id, host.path('whole')])
      assert.ok(existsSync(host.path('whole/bin/busybox')))
      await host.ok(['image', 'rm', id])
    }
  }
  assert.equal((await host.ok(['fetch', image])).trim(), id)
  await host.ok(['image', 'rm', id])
  await host.ok(['image', 'gc', '--grace-period=0s'])
  const blobs = contents(host.dataDir).filter((line) => line.startsWith('f') && /cas\/(blob|tmp|tree|image|name)\b/.test(line))
  assert.deepEqual(blobs, [])
})
