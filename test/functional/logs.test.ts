/** Logs of apps: their files, `rkt logs`, the journal of the host, and the plain files of a node's agent. */
import assert from 'node:assert/strict'
import {execFileSync, spawn} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, aSandbox, busybox, eventually, type Host, type RunningPod} from './harness/index.ts'

const shell = (script: string, ...options: string[]): string[] => ['--exec=/bin/sh', ...options, '--', '-c', script]

/** Runs a pod to its end and answers its UUID. */
async function ended(host: Host, ...words: string[]): Promise<string> {
  const file = host.path('uuid')
  await host.ok(['run', '--net=none', `--uuid-file-save=${file}`, ...words])
  return readFileSync(file, 'utf8')
}

const logFile = (pod: RunningPod, name: string): string => join(pod.dir, 'logs', name)

test('logs of a pod that has ended: each line on its stream, times, tails, apps', async () => {
  await using host = await aHost()
  const image = await busybox()
  const one = shell('for i in 1 2 3; do echo "out $i"; done; echo bad >&2; printf "no newline"', '--name=one')
  const uuid = await ended(host, image, ...one, '---', image, ...shell('sleep 0.3; echo later', '--name=two'))

  const {stderr, stdout} = await host.rkt(['logs', '--app=one', uuid])
  assert.equal(stdout, 'out 1\nout 2\nout 3\nno newline\n')
  assert.equal(stderr, 'bad\n')
  assert.match(await host.ok(['logs', uuid]), /^one: out 1\none: out 2\none: out 3\none: no newline\ntwo: later\n$/)
  assert.equal(await host.ok(['logs', '--tail=2', uuid]), 'one: no newline\ntwo: later\n')
  assert.equal(await host.ok(['logs', '--tail=0', uuid]), '')
  assert.match(await host.ok(['logs', '--timestamps', '--app=two', uuid]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z later\n$/)
  assert.equal(await host.ok(['logs', '--since=2000-01-01T00:00:00Z', '--app=two', uuid]), 'later\n')
  assert.equal(await host.ok(['logs', '--since=2100-01-01T00:00:00+02:00', uuid]), '')
  assert.equal(await host.ok(['logs', '--since=1h', '--follow', '--app=two', uuid]), 'later\n')
  await host.ok(['gc', '--mark-only'])
  assert.equal(await host.ok(['logs', '--app=two', uuid]), 'later\n')
  assert.match(await host.refused(['logs', '--app=three', uuid]), /unable to find app: app three is not present in pod/)
  assert.match(await host.refused(['logs', '--since=soon', uuid]), /soon/)
  assert.match(await host.refused(['logs', '--tail=some', uuid]), /not a number of lines/)
})

test('logs of a sandbox are those of all apps that it had, and following goes on with apps that are added', async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const {process, uuid} = await aSandbox(host, '--net=none')
  const follower = host.start(['logs', '--follow', uuid], {timeoutMs: 120_000})
  const says = async (name: string) => {
    await host.ok(['app', 'add', uuid, image, `--name=${name}`, ...shell(`echo ${name} was here; sleep 1000`)])
    await host.ok(['app', 'start', uuid, `--app=${name}`])
    await follower.says(new RegExp(`^${name}: ${name} was here\n`, 'm'))
  }

  await says('one')
  await host.ok(['app', 'rm', uuid, '--app=one'])
  assert.equal(await host.ok(['logs', uuid]), 'one was here\n')
  await says('two')

  assert.equal(await host.ok(['logs', uuid]), 'one: one was here\ntwo: two was here\n')
  assert.equal(await host.ok(['logs', '--app=one', uuid]), 'one was here\n')
  assert.equal(await host.ok(['logs', '--tail=1', uuid]), 'two: two was here\n')
  assert.match(await host.refused(['logs', '--app=three', uuid]), /app three is not present in pod/)
  await host.ok(['stop', uuid])
  await process.exit
  assert.equal((await follower.exit).status, 0)
})

test('the last line is shown whole, however many parts it has', async () => {
  await using host = await aHost()
  const uuid = await ended(host, await busybox(), ...shell(`echo before; head -c 20000 /dev/zero | tr '\\0' x; echo`))

  assert.equal(await host.ok(['logs', '--tail=1', uuid]), `${'x'.repeat(20_000)}\n`)
  assert.equal(await host.ok(['logs', '--tail=2', uuid]), `before\n${'x'.repeat(20_000)}\n`)
})

test('long lines are put together again, and bytes are shown as they are', async () => {
  await using host = await aHost()
  const script = `head -c 20000 /dev/zero | tr '\\0' x; echo; printf 'caf\\351 \\001\\n'`
  const uuid = await ended(host, await busybox(), ...shell(script))

  const file = host.path('shown')
  execFileSync('sh', ['-c', `"$0" "$@" > ${file}`, join(import.meta.dirname, '../../bin/rkt'), ...host.globals, 'logs', uuid])

  const shown = readFileSync(file, 'latin1')
  assert.equal(shown, `${'x'.repeat(20_000)}\ncaf\xe9 \x01\n`)
})

test('follow goes on over rotations, misses nothing, and ends with the pod', async () => {
  await using host = await aHost()
  const line = 'of many lines that make a log file of ten mebibytes turn over in no time at all, is it not so'
  const script = `read go < /tmp/go; i=0; while [ $i -lt 150000 ]; do echo "$i ${line}"; i=$((i+1)); done; echo over`
  const pod = await host.pod(['--net=none', await busybox(), ...shell(`mkfifo /tmp/go; echo begun; ${script}`)])
  const follower = host.start(['logs', '--follow', pod.uuid], {timeoutMs: 120_000})
  await follower.says(/begun\n/)

  const kept = eventually(() => existsSync(logFile(pod, 'busybox.log.1')), 'the first rotation', 60_000)
  await pod.enter('/bin/sh', '-c', 'echo go > /tmp/go')
  await kept
  const {status, stdout} = await follower.exit

  assert.equal(status, 0)
  const numbers = [...stdout.matchAll(/^(\d+) of many/gm)].map(([, number]) => Number(number))
  assert.equal(numbers.length, 150_000)
  assert.ok(numbers.every((number, index) => number === index))
  assert.match(stdout, /over\n$/)
  await pod.process.exit
  const files = readdirSync(join(pod.dir, 'logs')).sort()
  assert.ok(files.length > 1 && files.length <= 5, files.join())
  for (const name of files) assert.ok(statSync(logFile(pod, name)).size <= 10 << 20)
})

test('many megabytes a second pass, and the supervisor does not grow', async (t) => {
  await using host = await aHost()
  const megabytes = 60
  const pod = await host.pod([
    '--net=none',
    await busybox(),
    ...shell(
      `mkfifo /tmp/go; read go < /tmp/go; yes 'a line of a log that is neither short nor very long, as most of them are in practice' | head -c ${megabytes}m; echo; touch /tmp/done; sleep 1000`,
    ),
  ])
  const pid = await pod.initPid()
  const resident = (): number => Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1])
  const before = resident()

  await pod.enter('/bin/sh', '-c', 'echo go > /tmp/go')
  const begin = performance.now()
  let most = 0
  await eventually(
    () => {
      most = Math.max(most, resident())
      return existsSync(`/proc/${pid}/root/opt/stage2/busybox/rootfs/tmp/done`)
    },
    'the app to have written all',
    60_000,
  )
  const rate = megabytes / ((performance.now() - begin) / 1000)

  t.diagnostic(`${rate.toFixed(0)} MB/s, supervisor ${before} kB before, ${most} kB at most`)
  assert.ok(most < 2048, `${most} kB`)
  assert.ok(rate > 4, `${rate} MB/s`)
  await pod.stop()
})

test('a log that is a link, a fifo, garbage or endless is read safely', async () => {
  await using host = await aHost()
  const uuid = await ended(host, await busybox(), ...shell('echo fine'))
  const log = join(host.dataDir, 'pods/run', uuid, 'logs/busybox.log')
  const line = readFileSync(log)

  execFileSync('sh', ['-c', `(head -c 3000000 /dev/zero | tr '\\0' z; echo; echo nonsense; cat) >> ${log}`], {input: line})
  assert.equal(await host.ok(['logs', uuid]), 'fine\nfine\n')
  rmSync(log)
  symlinkSync('/etc/passwd', log)
  assert.match(await host.refused(['logs', uuid]), /cannot read the logs of app "busybox": .*symbolic link/)
  rmSync(log)
  execFileSync('mkfifo', [log])
  assert.match(await host.refused(['logs', uuid]), /busybox\.log is not a regular file/)
})

test('where the host runs journald, lines go there with the names of pod and app', async () => {
  await using host = await aHost()
  mkdirSync('/run/systemd/journal', {recursive: true})
  const journal = spawn('socat', ['-u', 'UNIX-RECV:/run/systemd/journal/socket', 'STDOUT'])
  let heard = ''
  journal.stdout.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  try {
    await eventually(() => existsSync('/run/systemd/journal/socket'), 'the journal')
    const uuid = await ended(host, await busybox(), ...shell('echo to the journal; echo trouble >&2', '--name=talker'))

    await eventually(
      () => /trouble/.test(heard),
      () => heard,
    )
    const entry = (priority: number, message: string) =>
      `PRIORITY=${priority}\nSYSLOG_IDENTIFIER=talker\nRKT_POD=${uuid}\nRKT_APP=talker\nMESSAGE=${message}\n`
    assert.ok(heard.includes(entry(6, 'to the journal')), heard)
    assert.ok(heard.includes(entry(3, 'trouble')), heard)
  } finally {
    journal.kill()
    rmSync('/run/systemd/journal', {force: true, recursive: true})
  }
})

test('k8s-plain: lines go to a plain file in the directory of the host, and nowhere else', async () => {
  await using host = await aHost()
  const image = await busybox()
  const id = (await host.ok(['fetch', '--full', image])).trim()
  mkdirSync(host.path('node'))
  const manifestFor = (path: string | undefined) =>
    JSON.stringify({
      acKind: 'PodManifest',
      acVersion: '0.8.11',
      annotations: [
        {name: 'coreos.com/rkt/experiment/logmode', value: 'k8s-plain'},
        {name: 'coreos.com/rkt/experiment/kubernetes-log-dir', value: host.path('node')},
      ],
      apps: [
        {
          annotations: path === undefined ? [] : [{name: 'coreos.com/rkt/experiment/kubernetes-log-path', value: path}],
          app: {exec: ['/bin/sh', '-c', 'echo plain; echo wrong >&2'], group: '0', user: '0'},
          image: {id},
          name: 'one',
        },
      ],
    })
  const run = async (path: string | undefined) =>
    await host.rkt(['run', '--net=none', `--pod-manifest=${host.write('pod.json', manifestFor(path))}`])

  assert.equal((await run('one.log')).status, 0)
  const lines = readFileSync(host.path('node/one.log'), 'utf8').split('\n').sort()
  assert.match(lines[1] ?? '', /^\d{4}-.*Z stderr wrong$|^\d{4}-.*Z stdout plain$/)
  assert.equal(lines.length, 3)
  for (const path of ['../escaped.log', '..', 'a/b'])
    assert.match((await run(path)).stderr, /log path is not inside \/rkt\/kubernetes\/log, refusing path traversal/)
  assert.match((await run(undefined)).stderr, /kubernetes-log-path annotation needs to be specified/)
  assert.deepEqual(readdirSync(host.path('node')), ['one.log'])
})
