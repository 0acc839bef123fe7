/** What a pod may leave for the programs that the host runs about it later: `stop`, `enter`, `gc`, `status`, `list`, `export`. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'node:test'
import {
  addBusybox,
  aHost,
  buildImage,
  busybox,
  compileProgram,
  type Host,
  manifest,
  noTerminals,
  program,
  type RunningPod,
  rktProgram,
  Terminal,
} from '../harness/index.ts'

const sleeping = async (): Promise<string[]> => ['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000']

/** Where a pod that broke out into the root of stage1 could write. */
function stage1Of(pod: RunningPod): string {
  const [upper = ''] = globSync(join(pod.dir, 'overlay/*/upper')).filter((path) => existsSync(join(path, 'rkt')))
  const root = existsSync(join(pod.dir, 'overlay')) ? upper : join(pod.dir, 'stage1/rootfs')
  assert.ok(existsSync(join(root, 'rkt')), root)
  return root
}

/** Digests of the executables of stage1 that the host runs. */
function executables(host: Host): Record<string, string> {
  const files = globSync(join(host.dataDir, 'cas/tree/*/rootfs/{run,enter,stop,gc,plan}'))
  assert.ok(files.length >= 4)
  return Object.fromEntries(files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]))
}

for (const [how, options] of Object.entries({'by copies': ['--no-overlay'], 'by overlay': []})) {
  test(`${how}: entrypoints that a pod has replaced in its stage1 are not what the host runs`, async () => {
    await using host = await aHost()
    const pod = await host.pod([...options, ...(await sleeping())])
    const stage1 = stage1Of(pod)
    for (const name of ['enter', 'stop', 'gc', 'run', 'plan']) {
      rmSync(join(stage1, name), {force: true})
      writeFileSync(join(stage1, name), `#!/bin/sh\necho owned > ${host.path('owned')}\n`, {mode: 0o755})
    }

    assert.equal(await host.ok(['enter', pod.uuid, '/bin/echo', 'inside']), 'inside\n')
    await pod.stop()
    await host.ok(['gc', '--grace-period=0s'])

    assert.ok(!existsSync(host.path('owned')))
    assert.deepEqual(host.pods(), [])
  })

  test(`${how}: status files that are links, fifos, directories, huge or nonsense hold up nobody and tell nothing`, async () => {
    await using host = await aHost()
    host.write('secret', '42')
    const pod = await host.pod([...options, ...(await sleeping())])
    const file = join(stage1Of(pod), 'rkt/status/busybox')
    const plants: Record<string, () => void> = {
      'a directory': () => mkdirSync(file),
      'a fifo': () => execFileSync('mkfifo', [file]),
      'a file of a terabyte': () => {
        writeFileSync(file, '')
        truncateSync(file, 2 ** 40)
      },
      'a link out': () => symlinkSync(host.path('secret'), file),
      'a link to an endless device': () => symlinkSync('/dev/zero', file),
      nonsense: () => writeFileSync(file, '99999999999999999999; rm -rf /\n'),
    }
    for (const [what, plant] of Object.entries(plants)) {
      rmSync(file, {force: true, recursive: true})
      plant()
      for (const words of [['status', pod.uuid], ['list'], ['list', '--format=json']]) {
        const answer = await host.rkt(words, {timeoutMs: 20_000})
        assert.equal(answer.status, 0, `${what}: ${answer.stderr}`)
        assert.doesNotMatch(answer.stdout, /app-busybox=|exit_code/, what)
      }
    }
    const directory = dirname(file)
    rmSync(directory, {recursive: true})
    mkdirSync(host.path('elsewhere'))
    writeFileSync(host.path('elsewhere', 'busybox'), '42\n')
    symlinkSync(host.path('elsewhere'), directory)
    assert.doesNotMatch(await host.ok(['status', pod.uuid]), /app-busybox=/)

    await pod.stop('--force')
    await host.ok(['gc', '--grace-period=0s'])
    assert.equal(readFileSync(host.path('elsewhere', 'busybox'), 'utf8'), '42\n')
  })

  test(`${how}: a program of the host that a pod runs as /proc/self/exe cannot be overwritten from there`, async () => {
    await using host = await aHost()
    const image = await buildImage(manifest({name: 'example.com/overwrite'}), (rootfs) => {
      addBusybox(rootfs)
      copyFileSync(compileProgram('attack'), join(rootfs, 'bin/attack'))
      // Whoever executes this executes himself, inside of the pod: CVE-2019-5736.
      writeFileSync(join(rootfs, 'bin/trap'), '#!/proc/self/exe\n')
      chmodSync(join(rootfs, 'bin/trap'), 0o755)
    })
    const pod = await host.pod([...options, '--net=none', image, '--exec=/bin/attack', '--', 'watch'])
    await pod.process.says(/watching/)
    const before = executables(host)

    for (let times = 0; times < 20; times++) {
      await host.rkt(['enter', pod.uuid, '/bin/trap'])
      await host.rkt(['enter', pod.uuid, '/proc/self/exe', '--pid=1', '--', '/bin/sleep', '0.05'])
    }

    assert.deepEqual(executables(host), before)
    await pod.stop()
    assert.deepEqual(executables(host), before)
  })
}

test('a root full of fifos, devices and links is exported and removed, and nobody waits for it', async () => {
  await using host = await aHost()
  const saved = host.path('uuid')
  const script = 'mkfifo /fifo; mknod /device c 1 5; ln -s /etc/shadow /link; ln -s / /root-link; mkdir -p /deep/$(seq -s / 100); exit 0'
  await host.ok(['run', '--net=none', `--uuid-file-save=${saved}`, await busybox(), '--exec=/bin/sh', '--', '-c', script])

  await host.ok(['export', readFileSync(saved, 'utf8'), host.path('out.aci')], {timeoutMs: 30_000})
  await host.ok(['gc', '--grace-period=0s'], {timeoutMs: 30_000})

  assert.deepEqual(host.pods(), [])
})

test('an app types nothing into the terminal of its caller, neither of run nor of enter', {
  skip: (await noTerminals()) ?? false,
}, async () => {
  await using host = await aHost()
  const image = await program('attack')
  await using shell = await Terminal.open(['bash', '--norc', '--noprofile', '-i'], {PS1: '> ', TERM: 'dumb'})
  const rkt = `${rktProgram} ${host.globals.join(' ')}`
  // What is typed before the prompt is the pod's: an enter that ends still reads it.
  const untilPrompt = /(?:typed|type denied)[\s\S]*> /

  shell.type(`${rkt} run --net=none --interactive ${image} --exec=/bin/attack -- type 'echo ow""ned-by-run\n' | sed 's/^/said: /'\r`)
  await shell.shows(untilPrompt)
  const pod = await host.pod(['--net=none', image, '--exec=/bin/sleep', '--', '1000'])
  shell.type(`${rkt} enter ${pod.uuid} /bin/attack type 'echo ow""ned-by-enter\n'\r`)
  await shell.shows(untilPrompt)
  shell.type('echo all ""done\r')
  await shell.shows(/\nall done\r/)
  await pod.stop()

  shell.type('history\r')
  const [history] = await shell.shows(/history\r\n[\s\S]*> /)
  assert.doesNotMatch(history, /^ *\d+ +echo ow""ned/m)
})
