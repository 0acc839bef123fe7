import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, checkout, manifest, rktProgram, runProgram} from '../harness/index.ts'

const mebibytes = process.env.RKT_TEST_LONG ? 2048 : 512

test(`importing an image of ${mebibytes} MiB stays below 150 MiB of memory`, async () => {
  await using host = await aHost()
  // On disk: the /tmp of the tests is memory.
  const directory = join(checkout, '.cache/memory-test')
  rmSync(directory, {force: true, recursive: true})
  mkdirSync(join(directory, 'image/rootfs'), {recursive: true})
  try {
    writeFileSync(join(directory, 'image/manifest'), manifest({app: null, name: 'example.com/big'}))
    execFileSync(
      'sh',
      ['-c', `head -c ${mebibytes}M /dev/urandom > image/rootfs/big && tar -cf big.aci -C image manifest rootfs && rm -r image`],
      {cwd: directory},
    )

    const globals = [`--dir=${join(directory, 'data')}`, '--insecure-options=image', `--local-config=${host.localConfig}`]
    const result = await runProgram(['python3', '-c', measure, rktProgram, ...globals, 'fetch', join(directory, 'big.aci')], {
      timeoutMs: 280_000,
    })

    assert.equal(result.status, 0, result.stderr)
    const peak = Number(/^peak (\d+)$/m.exec(result.stderr)?.[1]) / 1024
    assert.ok(peak > 0 && peak < 150, `peak resident memory ${peak.toFixed(0)} MiB`)
  } finally {
    rmSync(directory, {force: true, recursive: true})
  }
})

const measure = `
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
`
