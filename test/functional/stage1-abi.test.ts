import assert from 'node:assert/strict'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, aSandbox, busybox, eventually, foreignFlavor, type RunningPod} from './harness/index.ts'

function recorded(pod: RunningPod, name: string): string[] {
  return readFileSync(join(pod.dir, 'abi', name), 'utf8')
    .trimEnd()
    .split('\n')
}

async function ready(pod: RunningPod): Promise<RunningPod> {
  await eventually(() => existsSync(join(pod.dir, 'pid')) || existsSync(join(pod.dir, 'ppid')), 'the flavor to run')
  return pod
}

const everyOption = ['--hostname=named', '--dns=9.9.9.9', '--hosts-entry=10.0.0.1=db', '--ipc=parent', '--net=host']

/** The arguments behind the entrypoint's own path, for each interface version, when the user gave every option. */
const argumentsByVersion: Record<string, (localConfig: string) => string[]> = {
  '1': (local) => ['--net=host', `--local-config=${local}`],
  '2': (local) => ['--net=host', `--local-config=${local}`, '--hostname=named'],
  '3': (local) => [
    '--net=host',
    `--local-config=${local}`,
    '--hostname=named',
    '--disable-capabilities-restriction',
    '--disable-paths',
    '--disable-seccomp',
  ],
  '4': (local) => [
    '--net=host',
    `--local-config=${local}`,
    '--hostname=named',
    '--dns-conf-mode=resolv=stage0,hosts=stage0',
    '--disable-capabilities-restriction',
    '--disable-paths',
    '--disable-seccomp',
  ],
  '5': (local) => [
    '--net=host',
    `--local-config=${local}`,
    '--hostname=named',
    '--dns-conf-mode=resolv=stage0,hosts=stage0',
    '--disable-capabilities-restriction',
    '--disable-paths',
    '--disable-seccomp',
  ],
  '6': (local) => [
    '--net=host',
    `--local-config=${local}`,
    '--hostname=named',
    '--dns-conf-mode=resolv=stage0,hosts=stage0',
    '--disable-capabilities-restriction',
    '--disable-paths',
    '--disable-seccomp',
    '--ipc=parent',
  ],
}

const unsupported: Record<string, string[]> = {
  '1': ['--hostname option is not supported', '--dns-conf-mode option not supported', '--ipc option is not supported'],
  '2': ['--dns-conf-mode option not supported', '--ipc option is not supported'],
  '3': ['--dns-conf-mode option not supported', '--ipc option is not supported'],
  '4': ['--ipc option is not supported'],
  '5': ['--ipc option is not supported'],
  '6': [],
}

for (const [version, wanted] of Object.entries(argumentsByVersion)) {
  test(`run gets the arguments of interface version ${version} and no others, in their order`, async () => {
    await using host = await aHost()
    const flavor = await foreignFlavor({interfaceVersion: version})
    const globals = [...host.globals.filter((word) => !word.startsWith('--insecure')), '--insecure-options=image,all-run']

    const pod = await ready(await host.pod([...everyOption, `--stage1-path=${flavor}`, await busybox()], {globals, ready: false}))

    const [entrypoint = '', ...args] = recorded(pod, 'run.arguments')
    assert.match(entrypoint, new RegExp(`(^|${pod.dir}/)stage1/rootfs/abi-run$`))
    assert.deepEqual(args, [...wanted(host.localConfig), pod.uuid])
    for (const warning of unsupported[version] ?? [])
      assert.ok(pod.process.stderr.includes(`warning: ${warning} by stage1`), `${warning} in ${pod.process.stderr}`)
    assert.equal((pod.process.stderr.match(/supported by stage1/g) ?? []).length, unsupported[version]?.length)
  })
}

test('without an interface version it is 1, and one that is no number is refused', async () => {
  await using host = await aHost()
  const image = await busybox()

  const pod = await ready(
    await host.pod(['--net=none', `--stage1-path=${await foreignFlavor({interfaceVersion: null})}`, image], {ready: false}),
  )
  const stderr = await host.refused(['run', '--net=none', `--stage1-path=${await foreignFlavor({interfaceVersion: 'six'})}`, image])

  assert.deepEqual(recorded(pod, 'run.arguments').slice(1), ['--net=none', `--local-config=${host.localConfig}`, pod.uuid])
  assert.match(stderr, /error parsing interface version/)
})

test('plain options pass on nothing that the user did not ask for; --debug and --interactive are passed on', async () => {
  await using host = await aHost()
  const flavor = `--stage1-path=${await foreignFlavor()}`
  const image = await busybox()

  const plain = await ready(await host.pod(['--net=none', flavor, image], {ready: false}))
  const debug = await ready(await host.pod(['--debug', '--net=none', '--interactive', flavor, image], {ready: false}))

  assert.deepEqual(recorded(plain, 'run.arguments').slice(1), ['--net=none', `--local-config=${host.localConfig}`, plain.uuid])
  assert.deepEqual(recorded(debug, 'run.arguments').slice(1, 4), ['--debug', '--net=none', '--interactive'])
})

test('run has the environment of the caller, the number of the lock, and is in the pod directory', async () => {
  await using host = await aHost()

  const pod = await ready(
    await host.pod(['--net=none', `--stage1-path=${await foreignFlavor()}`, await busybox()], {
      env: {CALLER: 'kept', NODE_EXTRA_CA_CERTS: '/nosuch'},
      ready: false,
    }),
  )

  assert.deepEqual(recorded(pod, 'run.directory'), [pod.dir])
  const environment = recorded(pod, 'run.environment')
  for (const line of ['CALLER=kept', 'NODE_EXTRA_CA_CERTS=/nosuch', 'RKT_SELINUX_CONTEXT=', 'RKT_SELINUX_MOUNT_CONTEXT='])
    assert.ok(environment.includes(line), line)
  assert.deepEqual(
    environment.filter((line) => line.startsWith('RKT_LAUNCH')),
    [],
  )
  const lock = environment.find((line) => line.startsWith('RKT_LOCK_FD='))?.split('=')[1]
  const descriptors = Object.fromEntries(recorded(pod, 'run.descriptors').map((line) => line.split(' ')))
  assert.equal(descriptors[lock ?? ''], pod.dir, 'the lock is the pod directory, open')
  assert.match(recorded(pod, 'run.lock').join('\n'), /^lock:.*FLOCK +ADVISORY +WRITE/m)
})

test('run gets no descriptor of stage0 but the lock', async () => {
  await using host = await aHost()

  const pod = await ready(await host.pod(['--net=none', `--stage1-path=${await foreignFlavor()}`, await busybox()], {ready: false}))

  const descriptors = recorded(pod, 'run.descriptors').map((line) => line.split(' '))
  const strange = descriptors.filter(([fd, target]) => Number(fd) > 2 && target !== pod.dir)
  assert.deepEqual(strange, [])
})

for (const [kind, options] of Object.entries({copy: ['--no-overlay'], overlay: []})) {
  test(`the files of the pod are where the ABI says, by ${kind}`, async () => {
    await using host = await aHost()
    const image = await busybox()

    const pod = await ready(
      await host.pod(
        [
          '--net=none',
          ...options,
          '--dns=9.9.9.9',
          '--dns-search=a.example',
          '--dns-opt=ndots:2',
          '--hosts-entry=10.0.0.1=db',
          `--stage1-path=${await foreignFlavor()}`,
          image,
          '--name=one',
          image,
          '--name=two',
        ],
        {ready: false},
      ),
    )

    assert.equal(JSON.parse(readFileSync(join(pod.dir, 'abi/pod.json'), 'utf8')).acKind, 'PodManifest')
    for (const app of ['one', 'two']) {
      assert.deepEqual(recorded(pod, `app.${app}`), ['manifest', 'rootfs'])
      assert.ok(recorded(pod, `rootfs.${app}`).includes('bin'))
    }
    assert.equal(
      readFileSync(join(pod.dir, 'abi/resolv.conf'), 'utf8'),
      '# Generated by rkt run\n\nsearch a.example\nnameserver 9.9.9.9\noptions ndots:2\n',
    )
    assert.equal(
      readFileSync(join(pod.dir, 'abi/hosts'), 'utf8'),
      '127.0.0.1 localhost\n\n\n# Added by rkt run --hosts-entry\n10.0.0.1 db\n',
    )
    assert.match(readFileSync(join(pod.dir, 'stage1TreeStoreID'), 'utf8'), /^deps-sha512-[\da-f]{64}$/)
    assert.equal(existsSync(join(pod.dir, 'overlay-prepared')), kind === 'overlay')
  })

  test(`the exit statuses that a flavor of another author records are read, by ${kind}`, async () => {
    await using host = await aHost()
    const pod = await host.pod(['--net=none', ...options, `--stage1-path=${await foreignFlavor()}`, await busybox()])

    writeFileSync(join(pod.dir, 'abi/exit-with'), '6.')
    const {status} = await pod.process.exit

    assert.equal(status, 6)
    assert.match(await host.ok(['status', pod.uuid]), /^app-busybox=6$/m)
  })
}

for (const byPpid of [false, true]) {
  test(`enter, stop and gc get what the ABI says, for a pod that announced itself by ${byPpid ? 'ppid' : 'pid'}`, async () => {
    await using host = await aHost()
    const pod = await host.pod(['--net=none', `--stage1-path=${await foreignFlavor({byPpid})}`, await busybox()])
    const announced = readFileSync(join(pod.dir, byPpid ? 'ppid' : 'pid'), 'utf8').trim()
    assert.equal(announced, `${pod.process.pid}`, 'the flavor is the process that was rkt')
    const child = readFileSync(`/proc/${announced}/task/${announced}/children`, 'utf8').trim()

    const entered = await host.rkt(['enter', pod.uuid, '/bin/sh', '-c', 'pwd -P; echo $CALLER; exit 5'], {env: {CALLER: 'kept'}})
    assert.equal(entered.status, 5, entered.stderr)
    assert.equal(entered.stdout, `${pod.dir}\nkept\n`)
    const [enter = '', ...enterArguments] = recorded(pod, 'enter.arguments')
    const tree = readFileSync(join(pod.dir, 'stage1TreeStoreID'), 'utf8')
    assert.equal(enter, join(host.dataDir, 'cas/tree', tree, 'rootfs/abi-enter'), 'the copy that no pod can write')
    assert.deepEqual(enterArguments, [
      `--pid=${byPpid ? child : announced}`,
      '--appname=busybox',
      '--',
      '/bin/sh',
      '-c',
      'pwd -P; echo $CALLER; exit 5',
    ])

    assert.equal(await host.ok(['stop', pod.uuid]), `"${pod.uuid}"\n`)
    assert.equal((await pod.process.exit).status, 0)
    assert.deepEqual(recorded(pod, 'stop.arguments').slice(1), [pod.uuid])
    assert.deepEqual(recorded(pod, 'stop.directory'), [pod.dir])

    const record = host.path('gc-record')
    mkdirSync(record)
    const stdout = await host.ok(['gc', '--grace-period=0s'], {env: {FOREIGN_GC_RECORD: record}})
    assert.equal(stdout, `Garbage collecting pod "${pod.uuid}"\n`, 'what the entrypoint prints is discarded')
    const lines = (name: string): string[] => readFileSync(join(record, name), 'utf8').trimEnd().split('\n')
    assert.deepEqual(lines('gc.arguments').slice(1), ['--local-config', host.localConfig, pod.uuid])
    assert.deepEqual(lines('gc.directory'), [join(host.dataDir, 'pods/exited-garbage', pod.uuid)])
    assert.deepEqual(host.pods(), [])
  })
}

test('stop --force says so', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', `--stage1-path=${await foreignFlavor()}`, await busybox()])

  const {signal} = await pod.stop('--force')

  assert.equal(signal, 'SIGKILL')
  assert.deepEqual(recorded(pod, 'stop.arguments').slice(1), ['--force', pod.uuid])
})

test('gc of an older interface gets no --local-config; its failure is said and holds up nothing', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', `--stage1-path=${await foreignFlavor({interfaceVersion: '4'})}`, await busybox()])
  await pod.stop()
  const record = host.path('gc-record')
  mkdirSync(record)

  const result = await host.rkt(['gc', '--grace-period=0s'], {env: {FOREIGN_GC_RECORD: record, FOREIGN_GC_STATUS: '3'}})

  assert.deepEqual(readFileSync(join(record, 'gc.arguments'), 'utf8').trimEnd().split('\n').slice(1), [pod.uuid])
  assert.equal(result.status, 0)
  assert.match(result.stderr, new RegExp(`problem performing stage1 GC on "${pod.uuid}"`))
  assert.deepEqual(host.pods(), [])
})

test('an entrypoint that a flavor does not have is named when it is asked for', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', `--stage1-path=${await foreignFlavor({entrypoints: ['run']})}`, await busybox()])

  const stop = await host.rkt(['stop', pod.uuid])
  const enter = await host.rkt(['enter', pod.uuid, '/bin/true'])

  assert.equal(stop.status, 254)
  assert.match(stop.stderr, /^stop: error stopping ".*": entrypoint "coreos\.com\/rkt\/stage1\/stop" not found$/m)
  assert.equal(enter.status, 254)
  assert.match(enter.stderr, /entrypoint "coreos\.com\/rkt\/stage1\/enter" not found/)
})

test('the trees of a pod are mounted where only the pod sees them', async () => {
  await using host = await aHost()
  const {mounts} = await import('./harness/index.ts')

  const pod = await host.pod(['--net=none', `--stage1-path=${await foreignFlavor()}`, await busybox()])

  assert.notEqual(recorded(pod, 'mount-namespace')[0], (await import('node:fs')).readlinkSync('/proc/self/ns/mnt'))
  assert.deepEqual(
    mounts().filter((line) => line.includes(pod.uuid)),
    [],
  )
})

test('attach of another flavor gets the documented arguments, environment and streams; a flavor without it says so', async () => {
  await using host = await aHost()
  const flavor = await foreignFlavor({entrypoints: ['run', 'enter', 'stop', 'gc', 'attach']})
  const pod = await ready(await host.pod([`--stage1-path=${flavor}`, await busybox()], {ready: false}))

  assert.equal(await host.ok(['attach', '--mode=list', pod.uuid]), 'stdout\n')
  assert.deepEqual(recorded(pod, 'attach.arguments').slice(1), ['--action=list', '--app=busybox', '--debug=false'])
  assert.equal(await host.ok(['attach', '--mode=stdin,stdout', pod.uuid], {input: 'loud'}), 'LOUD')
  assert.deepEqual(recorded(pod, 'attach.arguments').slice(1), [
    '--action=custom-attach',
    '--tty-in=false',
    '--tty-out=false',
    '--stdin=true',
    '--stdout=true',
    '--stderr=false',
    '--app=busybox',
    '--debug=false',
  ])
  const environment = recorded(pod, 'attach.environment').sort()
  assert.deepEqual(
    environment.map((line) => line.slice(0, line.indexOf('='))).filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name)),
    ['PATH', 'RKT_STAGE1_ENTERCMD', 'RKT_STAGE1_ENTERPID'],
  )
  assert.match(environment.join('\n'), /^RKT_STAGE1_ENTERCMD=.*cas\/tree\/.*\/rootfs\/abi-enter$/m)
  assert.deepEqual(recorded(pod, 'attach.directory'), [pod.dir])
  await pod.stop()

  const without = await ready(await host.pod([`--stage1-path=${await foreignFlavor()}`, await busybox()], {ready: false}))
  assert.match(await host.refused(['attach', without.uuid]), /attach: attach failed: .*coreos\.com\/rkt\/stage1\/attach/)
  assert.equal((await host.rkt(['app', 'sandbox', `--stage1-path=${flavor}`])).status, 1)
  await without.stop()
})

test('the apps of a mutable pod of another flavor: documented arguments and environment, and what the entrypoints find', async () => {
  await using host = await aHost()
  const flavor = await foreignFlavor({entrypoints: ['run', 'enter', 'stop', 'gc', 'app/add', 'app/start', 'app/stop', 'app/rm']})
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const {dir, process, uuid} = await aSandbox(host, '--net=none', `--stage1-path=${flavor}`)
  const lines = (name: string): string[] =>
    readFileSync(join(dir, 'abi', name), 'utf8')
      .trimEnd()
      .split('\n')
  const given = (verb: string): string[] => lines(`app-${verb}.arguments`).slice(1)
  const state = async (): Promise<string> => await host.ok(['app', 'list', '--no-legend', uuid])
  const app = async (verb: string): Promise<string> => await host.ok(['app', verb, uuid, '--app=one'])

  await host.ok(['app', 'add', uuid, image, '--name=one'])
  assert.deepEqual(lines('run.arguments').slice(1), ['--net=none', `--local-config=${host.localConfig}`, '--mutable', uuid])
  assert.deepEqual(given('add'), ['--debug=false', `--uuid=${uuid}`, '--app=one'])
  assert.deepEqual(lines('app-add.directory'), [dir])
  assert.deepEqual(
    JSON.parse(lines('app-add.pod').join('')).apps.map(({name}: {name: string}) => name),
    ['one'],
  )
  assert.deepEqual(lines('app-add.place'), ['manifest', 'rootfs'])
  assert.ok(lines('app-add.rootfs').includes('bin'))
  assert.equal(await state(), 'one\tcreated\n')
  await app('start')
  assert.deepEqual(given('start'), ['--debug=false', '--app=one'])
  assert.equal(await state(), 'one\trunning\n')
  await app('stop')
  assert.deepEqual(given('stop'), ['--debug=false', '--app=one'])
  assert.equal(await state(), 'one\texited\n')
  assert.match(await host.refused(['app', 'stop', uuid, '--app=one']), /app "one" is not running/)
  await app('start')
  assert.equal(await state(), 'one\trunning\n')
  for (const verb of ['add', 'start', 'stop']) {
    const environment = lines(`app-${verb}.environment`).filter((line) => !/^(PWD|SHLVL|_|OLDPWD)=/.test(line))
    assert.deepEqual(environment.map((line) => line.split('=')[0]).sort(), ['PATH', 'RKT_STAGE1_ENTERCMD', 'RKT_STAGE1_ENTERPID'])
  }

  const debug = await host.rkt(['--debug', 'app', 'rm', uuid, '--app=one'])
  assert.equal(debug.status, 0, debug.stderr)
  assert.match(debug.stderr, /the foreign stop of one[\s\S]*the foreign rm of one/)
  assert.deepEqual(
    [given('stop'), given('rm')],
    [
      ['--debug=true', '--app=one'],
      ['--debug=true', '--app=one'],
    ],
  )
  assert.equal(await state(), '')
  writeFileSync(join(dir, 'abi/refuse-add'), '3')
  assert.match(await host.refused(['app', 'add', uuid, image, '--name=two']), /error adding app to pod: the foreign add of two$/m)
  const stage2 = `/proc/${readFileSync(join(dir, 'pid'), 'utf8').trim()}/root${dir}/stage1/rootfs/opt/stage2`
  assert.deepEqual([await state(), readdirSync(join(dir, 'appsinfo')), readdirSync(stage2)], ['', [], []])
  await host.ok(['stop', uuid])
  assert.equal((await process.exit).status, 0)
})

test('without an entrypoint for apps a flavor has no sandbox, or refuses only what it lacks', async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const without = await foreignFlavor({entrypoints: ['run', 'enter', 'stop', 'gc', 'app/add', 'app/start', 'app/stop']})
  const refused = await host.rkt(['app', 'sandbox', '--net=none', `--stage1-path=${without}`])
  assert.deepEqual([refused.status, host.pods()], [1, []])
  assert.match(refused.stderr, /stage1 does not support mutable pods/)

  const some = await foreignFlavor({entrypoints: ['run', 'enter', 'stop', 'gc', 'app/start', 'app/stop', 'app/rm']})
  const {uuid} = await aSandbox(host, '--net=none', `--stage1-path=${some}`)
  assert.match(await host.refused(['app', 'add', uuid, image]), /error adding app to pod: .*coreos\.com\/rkt\/stage1\/app\/add" not found/)
  assert.equal(await host.ok(['app', 'list', '--no-legend', uuid]), '')
  await host.ok(['stop', uuid])
})
