import assert from 'node:assert/strict'
import {test} from 'node:test'
import {aHost, busybox, cgroups, contents, mounts, processes} from '../harness/index.ts'

const count = process.env.RKT_TEST_LONG ? 1000 : 200

/** What may differ between two looks at a store that nobody changed: when things were last used, and lock files. */
const store = (dataDir: string): string[] => contents(dataDir).filter((line) => !/cas\/db\b/.test(line))

test(`${count} pods started and collected in a loop leave mounts, cgroups, processes and the data directory as they were`, async () => {
  await using host = await aHost()
  const image = await busybox()
  const id = (await host.ok(['fetch', image])).trim()
  const cycle = async (options: string[]): Promise<void> => {
    const result = await host.rkt(['run', '--net=host', ...options, id, '--exec=/bin/true'])
    assert.equal(result.status, 0, result.stderr)
  }
  await cycle([])
  await host.ok(['gc', '--grace-period=0s'])
  const before = {cgroups: cgroups(), mounts: mounts(), processes: processes().length, store: store(host.dataDir)}

  for (let pod = 1; pod <= count; pod++) {
    await cycle(pod % 10 === 0 ? ['--no-overlay'] : [])
    if (pod % 20 === 0) await host.ok(['gc', '--grace-period=0s'])
  }

  assert.deepEqual({cgroups: cgroups(), mounts: mounts(), processes: processes().length, store: store(host.dataDir)}, before)
})
