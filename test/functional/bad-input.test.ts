import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {
  addBusybox,
  aHost,
  buildImage,
  busybox,
  contents,
  type Host,
  hostileArchive,
  manifest,
  type TarEntry,
  tarBytes,
} from './harness/index.ts'

/** What the data directory holds: not that somebody wrote (the generation), nor which folders its files are spread over. */
function holds(host: Host): string[] {
  return contents(host.dataDir).filter((line) => !/ cas\/(generation\b|(blob|imageManifest)\/sha512\/..$)/.test(line))
}

/** Runs a command that must fail with 254 and leave the data directory as it was. */
async function refusedWithoutTrace(host: Host, args: readonly string[], message: RegExp): Promise<void> {
  const before = holds(host)
  const stderr = await host.refused(args)
  assert.match(stderr, message)
  assert.deepEqual(holds(host), before)
}

/** A host with one good image in its store and one good pod prepared, so that there is something to spoil. */
async function aUsedHost(): Promise<Host> {
  const host = await aHost()
  await host.ok(['prepare', '--quiet', await busybox()])
  await host.ok(['image', 'list'])
  return host
}

const goodTop: TarEntry[] = [
  {content: manifest({app: null, name: 'example.com/x'}), name: 'manifest'},
  {mode: 0o755, name: 'rootfs', type: 'directory'},
]

const archives: Record<string, {bytes: () => Promise<Buffer> | Buffer; says: RegExp}> = {
  'a truncated gzip archive': {
    bytes: async () => {
      const whole = readFileSync(await busybox())
      const zipped = whole[0] === 0x1f ? whole : gzipSync(whole)
      return zipped.subarray(0, zipped.length / 2)
    },
    says: /bad\.aci/,
  },
  'a truncated tar': {
    bytes: async () => (await tarBytes([...goodTop, {content: 'x'.repeat(5000), name: 'rootfs/file'}])).subarray(0, 4096),
    says: /bad\.aci/,
  },
  'a tar with a wrong header checksum': {
    bytes: async () => {
      const tar = await tarBytes([...goodTop, {content: 'x', name: 'rootfs/file'}])
      const at = tar.indexOf('rootfs/file')
      tar.write('Rootfs', at)
      return tar
    },
    says: /bad\.aci/,
  },
  'a gzip archive with a flipped byte': {
    bytes: async () => {
      const zipped = gzipSync(await tarBytes([...goodTop, {content: Buffer.alloc(9000, 'abc'), name: 'rootfs/file'}]))
      zipped.writeUInt8(zipped.readUInt8(zipped.length - 6) ^ 0xff, zipped.length - 6)
      return zipped
    },
    says: /bad\.aci/,
  },
  'a file of another kind': {bytes: () => Buffer.from('%PDF-1.7 this is no archive'.padEnd(2000, '.')), says: /bad\.aci/},
  'an empty file': {bytes: () => Buffer.alloc(0), says: /bad\.aci/},
  'an archive without a manifest': {bytes: () => tarBytes([{name: 'rootfs', type: 'directory'}]), says: /manifest/},
  'an archive without a rootfs': {bytes: () => tarBytes(goodTop.slice(0, 1)), says: /rootfs/},
  'a manifest that is not JSON': {
    bytes: () => tarBytes([{content: '{"acKind":', name: 'manifest'}, ...goodTop.slice(1)]),
    says: /manifest/,
  },
  'a manifest without a name': {
    bytes: () =>
      tarBytes([{content: JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11'}), name: 'manifest'}, ...goodTop.slice(1)]),
    says: /name/,
  },
  'a manifest with an invalid name': {
    bytes: () => tarBytes([{content: manifest({app: null, name: 'Example.com/UPPER'}), name: 'manifest'}, ...goodTop.slice(1)]),
    says: /Example\.com\/UPPER|name/,
  },
  'a manifest with a port out of range': {
    bytes: () =>
      tarBytes([
        {content: manifest({app: {ports: [{name: 'http', port: 70000, protocol: 'tcp'}]}, name: 'example.com/x'}), name: 'manifest'},
        ...goodTop.slice(1),
      ]),
    says: /port/,
  },
  'a manifest of another kind': {
    bytes: () =>
      tarBytes([
        {content: JSON.stringify({acKind: 'PodManifest', acVersion: '0.8.11', name: 'example.com/x'}), name: 'manifest'},
        ...goodTop.slice(1),
      ]),
    says: /acKind|ACKind|kind/,
  },
  'a manifest of an unknown kind': {
    bytes: () =>
      tarBytes([
        {content: JSON.stringify({acKind: 'Surprise', acVersion: '0.8.11', name: 'example.com/x'}), name: 'manifest'},
        ...goodTop.slice(1),
      ]),
    says: /acKind|ACKind|kind/,
  },
  'an entry outside of rootfs': {bytes: () => tarBytes([...goodTop, {content: 'x', name: 'elsewhere'}]), says: /elsewhere/},
  'an entry whose name is absolute': {bytes: () => hostileArchive([{content: 'x', name: '/rootfs/absolute'}]), says: /absolute/},
  'an entry that climbs out by ..': {bytes: () => hostileArchive([{content: 'x', name: 'rootfs/../../climbs'}]), says: /climbs/},
  'an entry given twice': {
    bytes: () =>
      hostileArchive([
        {content: 'x', name: 'rootfs/twice'},
        {content: 'y', name: 'rootfs/twice'},
      ]),
    says: /twice/,
  },
}

for (const [what, {bytes, says}] of Object.entries(archives)) {
  test(`${what} is refused by fetch, and the store stays as it was`, async () => {
    await using host = await aUsedHost()
    const file = host.write('bad.aci', await bytes())

    await refusedWithoutTrace(host, ['fetch', file], says)
  })
}

const escapes: Record<string, {entries: TarEntry[]; outside: string}> = {
  'through a symlink to an absolute directory': {
    entries: [
      {linkname: '/tmp', name: 'rootfs/link', type: 'symlink'},
      {content: 'x', name: 'rootfs/link/escaped-absolute'},
    ],
    outside: '/tmp/escaped-absolute',
  },
  'through a symlink that climbs': {
    entries: [
      {linkname: '../../../../../../../../tmp', name: 'rootfs/link', type: 'symlink'},
      {content: 'x', name: 'rootfs/link/escaped-climbing'},
    ],
    outside: '/tmp/escaped-climbing',
  },
  'through a hard link to a file of the host': {
    entries: [
      {linkname: '/etc/passwd', name: 'rootfs/passwd', type: 'link'},
      {content: 'owned', name: 'rootfs/other'},
    ],
    outside: '/tmp/escaped-never',
  },
  'through a hard link that climbs': {
    entries: [{linkname: 'rootfs/../../../../../../../etc/passwd', name: 'rootfs/passwd', type: 'link'}],
    outside: '/tmp/escaped-never',
  },
  'through a hard link to a symlink': {
    entries: [
      {linkname: '/tmp/escaped-by-link', name: 'rootfs/link', type: 'symlink'},
      {linkname: 'rootfs/link', name: 'rootfs/hard', type: 'link'},
      {content: 'x', name: 'rootfs/hard/escaped'},
    ],
    outside: '/tmp/escaped-by-link',
  },
}

for (const [what, {entries, outside}] of Object.entries(escapes)) {
  test(`an entry that leaves its root ${what} reaches nothing outside`, async () => {
    await using host = await aUsedHost()
    const passwd = readFileSync('/etc/passwd', 'utf8')
    const file = host.write('bad.aci', await hostileArchive(entries))

    const result = await host.rkt(['fetch', file])
    const rendered = await host.rkt(['image', 'render', '--rootfs-only', 'example.com/hostile', host.path('re')])

    assert.ok(!existsSync(outside), 'nothing was written outside')
    assert.equal(readFileSync('/etc/passwd', 'utf8'), passwd)
    assert.ok(
      result.status === 254 || rendered.status === 254,
      `fetch ${result.status}, render ${rendered.status}: ${result.stderr}${rendered.stderr}`,
    )
    assert.ok(!existsSync(host.path('re')), 'nothing partial is visible')
  })
}

test('a path that is both a file and a directory is refused', async () => {
  await using host = await aUsedHost()
  const file = host.write(
    'bad.aci',
    await hostileArchive([
      {content: 'x', name: 'rootfs/both'},
      {content: 'y', name: 'rootfs/both/inside'},
    ]),
  )

  const result = await host.rkt(['run', '--net=none', file])

  assert.equal(result.status, 254)
  assert.match(result.stderr, /both/)
  assert.equal(host.pods().length, 1, 'only the pod that was there')
})

test('a cycle of dependencies is refused and named', async () => {
  await using host = await aUsedHost()
  for (const [name, other] of [
    ['one', 'two'],
    ['two', 'one'],
  ] as const) {
    const file = await buildImage(
      manifest({app: null, dependencies: [{imageName: `example.com/${other}`}], name: `example.com/${name}`}),
      () => {},
    )
    const result = await host.rkt(['fetch', file])
    assert.ok([0, 254].includes(result.status ?? -1), result.stderr) // the second closes the circle: fetch may already say so
  }

  const stderr = await host.refused(['image', 'render', 'example.com/one', host.path('re')])

  assert.match(stderr, /example\.com\/(one|two)/)
  assert.ok(!existsSync(host.path('re')))
})

test('a dependency that is nowhere is named', async () => {
  await using host = await aUsedHost()
  const file = await buildImage(
    manifest({app: null, dependencies: [{imageName: 'nowhere.invalid/base'}], name: 'example.com/needs'}),
    () => {},
  )

  await refusedWithoutTrace(host, ['run', '--net=none', file], /nowhere\.invalid\/base/)
})

test('an ambiguous image id is refused with the id', async () => {
  await using host = await aHost()
  const byFirstDigits = new Map<string, Buffer>()
  for (let count = 0; ; count++) {
    const archive = await tarBytes([
      {content: manifest({app: null, name: 'example.com/many', version: `${count}`}), name: 'manifest'},
      ...goodTop.slice(1),
    ])
    const digits = createHash('sha512').update(archive).digest('hex').slice(0, 2)
    const other = byFirstDigits.get(digits)
    if (other === undefined) {
      byFirstDigits.set(digits, archive)
      continue
    }
    await host.ok(['fetch', host.write('one.aci', archive)])
    await host.ok(['fetch', host.write('two.aci', other)])

    await refusedWithoutTrace(host, ['image', 'cat-manifest', `sha512-${digits}`], new RegExp(`ambiguous image ID: "sha512-${digits}"`))
    return
  }
})

test('an exec that is not there, or cannot be executed, is named', async () => {
  await using host = await aUsedHost()
  const image = await buildImage(manifest({name: 'example.com/text'}), (rootfs) => {
    addBusybox(rootfs)
    writeFileSync(join(rootfs, 'bin/text'), 'no program', {mode: 0o644})
  })
  for (const exec of ['/bin/nosuch', 'nosuch', '/bin/text']) {
    const result = await host.rkt(['run', '--net=none', image, `--exec=${exec}`])

    assert.notEqual(result.status, 0, exec)
    assert.match(`${result.stdout}${result.stderr}`, new RegExp(exec), exec)
  }
  await host.ok(['gc', '--grace-period=0s'])
  assert.equal(host.pods().length, 1, 'only the prepared pod that was there')
})

test('--app that names no app of the pod is refused', async () => {
  await using host = await aUsedHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])

  const entered = await host.rkt(['enter', '--app=nosuch', pod.uuid, '/bin/true'])
  await pod.stop()

  assert.equal(entered.status, 254, entered.stderr)
  assert.match(entered.stderr, /nosuch/)
  await refusedWithoutTrace(
    host,
    ['export', '--app=nosuch', pod.uuid, host.path('out.aci')],
    /unable to find app: app nosuch is not present in pod/,
  )
  assert.ok(!existsSync(host.path('out.aci')))
})

test('a stage1 image without a run entrypoint is refused before there is a pod', async () => {
  await using host = await aUsedHost()
  const image = await busybox()

  const before = host.pods()
  const stderr = await host.refused(['run', '--net=none', `--stage1-path=${image}`, image])

  assert.match(stderr, /coreos\.com\/rkt\/stage1\/run/)
  assert.deepEqual(host.pods(), before)
})

test('a data directory that cannot be written is named', async () => {
  await using host = await aHost()
  mkdirSync(host.path('readonly'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'rkt-test', host.path('readonly')])
  try {
    const stderr = await host.refused([`--dir=${host.path('readonly')}`, '--insecure-options=image', 'fetch', await busybox()], {
      globals: [],
    })

    assert.match(stderr, /readonly.*read-only file system/)
  } finally {
    execFileSync('umount', [host.path('readonly')])
  }
  const file = host.write('a-file', '')
  assert.match(await host.refused([`--dir=${file}`, '--insecure-options=image', 'fetch', await busybox()], {globals: []}), /a-file/)
})

test('a full disk stops an import, and nothing of it stays', async () => {
  await using host = await aHost()
  mkdirSync(host.path('small'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'rkt-test', host.path('small')])
  try {
    const dir = host.path('small/data')
    await host.ok([`--dir=${dir}`, 'image', 'list'], {globals: []})
    const big = await buildImage(manifest({app: null, name: 'example.com/big'}), (rootfs) =>
      writeFileSync(join(rootfs, 'big'), Buffer.alloc(8 * 2 ** 20, 7)),
    )
    const before = contents(dir).filter((line) => line.startsWith('f'))

    const stderr = await host.refused([`--dir=${dir}`, '--insecure-options=image', 'fetch', big], {globals: []})

    assert.match(stderr, /no space left on device/)
    assert.deepEqual(
      contents(dir).filter((line) => line.startsWith('f')),
      before,
    )
    assert.equal(await host.ok([`--dir=${dir}`, 'image', 'list', '--no-legend'], {globals: []}), '')
  } finally {
    execFileSync('umount', ['-l', host.path('small')])
  }
})

test('a full disk stops a run, and no pod stays', async () => {
  await using host = await aHost()
  mkdirSync(host.path('small'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'rkt-test', host.path('small')])
  try {
    const dir = host.path('small/data')
    const globals = [`--dir=${dir}`, '--insecure-options=image']
    await host.ok(['fetch', await busybox()], {globals})
    execFileSync('sh', ['-c', 'dd if=/dev/zero of="$1" bs=64k 2>/dev/null || true', 'sh', host.path('small/filler')])

    const stderr = await host.refused(['run', '--net=none', '--no-overlay', 'example.com/busybox'], {globals})

    assert.match(stderr, /no space left on device/)
    execFileSync('rm', [host.path('small/filler')])
    await host.ok(['gc', '--grace-period=0s'], {globals})
    assert.deepEqual(
      contents(join(dir, 'pods')).filter((line) => /pods|\/[\da-f-]{36}/.test(line)),
      [],
    )
  } finally {
    execFileSync('umount', ['-l', host.path('small')])
  }
})

test('names that an app cannot have, and apps of one name, are refused', async () => {
  await using host = await aUsedHost()
  const image = 'example.com/busybox' // from the store: a file would be imported again, which counts as its last import

  await refusedWithoutTrace(host, ['prepare', image, '--name=UPPER'], /"UPPER": ACName must be lower case/)
  await refusedWithoutTrace(host, ['prepare', image, image], /error setting up stage0: error: multiple apps with name busybox/)
  await refusedWithoutTrace(host, ['prepare', image, '--name=a', image, '--name=a'], /multiple apps with name a/)
})

test('an image for another machine is refused with the machine', async () => {
  await using host = await aUsedHost()
  const labels = (os: string, arch: string) => [
    {name: 'os', value: os},
    {name: 'arch', value: arch},
  ]
  const foreign = await buildImage(manifest({labels: labels('freebsd', 'amd64'), name: 'example.com/foreign'}), addBusybox)
  const id = (await host.ok(['fetch', foreign])).trim()

  await refusedWithoutTrace(host, ['prepare', id], /bad os "freebsd" \(must be one of: \[linux\]\)/)
})

test('an image without an app section needs --exec', async () => {
  await using host = await aUsedHost()
  const image = await buildImage(manifest({app: null, name: 'example.com/no-app'}), addBusybox)
  await host.ok(['fetch', image])

  await refusedWithoutTrace(
    host,
    ['prepare', 'example.com/no-app'],
    /error: image sha512-[\da-f]+ has no app section and --exec argument is not provided/,
  )
  const result = await host.rkt(['run', '--net=none', image, '--exec=/bin/true'])
  assert.equal(result.status, 0, result.stderr)
})

test('a volume that is malformed or whose source is missing is refused by name', async () => {
  await using host = await aUsedHost()
  const image = await busybox()
  const bad = [
    'v,kind=bogus',
    'v,kind=host',
    'v,kind=host,source=relative',
    'v,kind=empty,source=/x',
    'v,kind=host,source=/x,mode=0755',
    'v,kind=empty,nosuch=1',
  ]
  for (const volume of bad) {
    await refusedWithoutTrace(host, ['run', `--volume=${volume}`, image], new RegExp(`invalid value in --volume flag "${volume}"`))
  }
  const missing = await host.rkt([
    'run',
    '--net=none',
    `--volume=v,kind=host,source=${host.path('nodir')}`,
    image,
    '--mount=volume=v,target=/mnt',
  ])
  assert.notEqual(missing.status, 0)
  assert.match(missing.stderr, /nodir/)
})

test('quantities, capabilities, ports and ids that make no sense are refused by name', async () => {
  await using host = await aUsedHost()
  const image = await busybox()
  const cases: [string[], RegExp][] = [
    [[image, '--memory=bogus'], /"bogus" for --memory=bogus/],
    [[image, '--memory=16m'], /memory limit of \d+ bytes too low/],
    [[image, '--cpu-shares=1'], /cpu-shares must be between 2 and 262144, got 1/],
    [[image, '--oom-score-adj=2000'], /oom-score-adj must be between -1000 and 1000, got 2000/],
    [[image, '--seccomp=mode=bogus'], /invalid seccomp mode command-line override/],
    [[image, '--supplementary-gids=a'], /--supplementary-gids must be integers/],
    [[image, '--caps-retain=CAP_CHOWN', '--caps-remove=CAP_KILL'], /cannot use both --caps-retain and --caps-remove on the same image/],
    [['--port=nosuch:80', image], /port name "nosuch" could not be found in any apps/],
    [[image, '--environment=novalue'], /invalid format of --environment flag "novalue"/],
    [['--set-env=novalue', image], /must be specified as key=value/],
    [['--set-env=A=1', '--set-env=A=2', image], /key "A" already set/],
    [['--pod-manifest=/nosuch', image], /conflicting flags set with --pod-manifest/],
    [[], /must provide at least one image or specify the pod manifest/],
    [[image, image, '--name=b', '--interactive'], /interactive option only supports one image/],
  ]
  for (const [args, message] of cases) {
    const before = host.pods()
    const stderr = await host.refused(['run', ...(args.some((word) => word.startsWith('--port')) ? [] : ['--net=none']), ...args])
    assert.match(stderr, message, args.join(' '))
    assert.deepEqual(host.pods(), before, args.join(' '))
  }
})

test('a file that the caller may not read is named', async () => {
  await using host = await aUsedHost()
  const directory = host.path('a-directory.aci')
  mkdirSync(directory)
  chmodSync(directory, 0o755)

  await refusedWithoutTrace(host, ['fetch', directory], /a-directory\.aci/)
  await refusedWithoutTrace(host, ['fetch', host.path('nofile.aci')], /open .*nofile\.aci: no such file or directory/)
})
