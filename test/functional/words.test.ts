import assert from 'node:assert/strict'
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, busybox, checkout} from './harness/index.ts'

const uuidLine = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/m

test('no subcommand at all is status 2, the help on stdout, one line on stderr', async () => {
  await using host = await aHost()

  const result = await host.rkt([], {globals: []})

  assert.equal(result.status, 2)
  assert.equal(result.stderr, 'rkt: missing command\n')
  assert.match(result.stdout, /^NAME:\n\trkt - rkt, the application container runner\n/)
})

test('version prints its five lines in their order', async () => {
  await using host = await aHost()

  const lines = (await host.ok(['version'])).split('\n')

  assert.deepEqual(
    lines.map((line) => line.split(': ')[0]),
    ['rkt Version', 'appc Version', 'Node Version', 'OS/Arch', 'Features', ''],
  )
  assert.equal(lines[0], 'rkt Version: 2.0.0')
  assert.equal(lines[1], 'appc Version: 0.8.11')
})

test('an unknown command is refused, with a suggestion when one is near', async () => {
  await using host = await aHost()

  assert.equal(await host.refused(['nosuchcommand']), 'Error: unknown command "nosuchcommand" for "rkt"\nRun \'rkt --help\' for usage.\n')
  assert.equal(
    await host.refused(['lst']),
    'Error: unknown command "lst" for "rkt"\n\nDid you mean this?\n\tlist\n\nRun \'rkt --help\' for usage.\n',
  )
})

test('subcommands may be abbreviated to a prefix that no other has, also at the second level', async () => {
  await using host = await aHost()
  const full = await host.ok(['version'])

  assert.equal(await host.ok(['vers']), full)
  assert.equal(await host.ok(['im', 'li', '--no-legend']), '')
  assert.match(await host.refused(['r']), /unknown command "r" for "rkt"/)
  assert.match(await host.refused(['prepare']), /must provide at least one image/, 'the exact name wins over run-prepared and prepare…')
})

test('an unknown word below image prints that help and is no error', async () => {
  await using host = await aHost()

  const result = await host.rkt(['image', 'nosuch'])

  assert.equal(result.status, 0)
  assert.match(result.stdout, /image list/)
})

test('global and command options may stand before the subcommand', async () => {
  await using host = await aHost()
  const config = await host.ok(['config', '--pretty-print=false'])

  assert.equal(await host.ok(['--pretty-print=false', 'config']), config)
  assert.equal(await host.ok(['--debug=false', '--no-legend', 'list']), '')
  assert.equal(await host.ok(['list', '--dir', host.dataDir, '--no-legend'], {globals: []}), '')
})

test('misused options give the documented sentence, the usage, and 254', async () => {
  await using host = await aHost()
  const cases: [string[], string][] = [
    [['list', '--nosuchflag'], 'Error: unknown flag: --nosuchflag'],
    [['run', '--nosuch=1', 'x.aci'], 'Error: unknown flag: --nosuch'],
    [['list', '-x'], "Error: unknown shorthand flag: 'x' in -x"],
    [['gc', '--grace-period'], 'Error: flag needs an argument: --grace-period'],
    [['--insecure-options=bogus', 'list'], 'Error: invalid argument "bogus" for --insecure-options=bogus: unknown option "bogus"'],
    [
      ['--insecure-options=image,image', 'list'],
      'Error: invalid argument "image,image" for --insecure-options=image,image: duplicated option "image"',
    ],
    [['--dir=', 'list'], 'Error: invalid argument "" for --dir=: "" is not a valid directory'],
    [['image', 'list', '--fields=bogus'], 'Error: invalid argument "bogus" for --fields=bogus: unknown option "bogus"'],
    [['list', '--format=xml'], 'Error: invalid argument "xml" for --format=xml: Invalid format option: xml'],
    [['gc', '--grace-period=30'], 'Error: invalid argument "30" for --grace-period=30:'],
  ]
  for (const [args, message] of cases) {
    const result = await host.rkt(args, {globals: [`--local-config=${host.localConfig}`]})

    assert.equal(result.status, 254, args.join(' '))
    assert.ok(result.stderr.startsWith(message), `${args.join(' ')}: ${result.stderr}`)
  }
})

test('--help of every command is on stdout, status 0, and names the command', async () => {
  await using host = await aHost()
  // Every command has a manual page.
  const pages = readdirSync(join(checkout, 'man')).map((file) => file.replace(/^rkt-?(.*)\.1$/, '$1'))
  const commands = pages.filter((name) => name !== '').map((name) => name.replace(/^(app|image|plugins)-/, '$1 '))
  for (const command of commands) {
    const result = await host.rkt([...command.split(' '), '--help'], {globals: []})

    assert.equal(result.status, 0, command)
    assert.equal(result.stderr, '', command)
    assert.match(result.stdout, new RegExp(`^NAME:\\n\\t${command} - `), command)
  }
})

test('per-image options belong to the image before them, and apps take their arguments between -- and ---', async () => {
  await using host = await aHost()
  const image = await busybox()

  const words = [
    'prepare',
    '--quiet',
    image,
    '--name=one',
    '--exec=/bin/echo',
    '--',
    'a',
    '--name=b',
    '---',
    image,
    '--name',
    'two',
    '--',
    'c',
  ]
  const uuid = (await host.ok(words)).trim()

  assert.match(uuid, uuidLine)
  const {apps} = JSON.parse(await host.ok(['cat-manifest', uuid]))
  assert.deepEqual(
    apps.map((app: {name: string; app: {exec: string[]}}) => [app.name, app.app.exec]),
    [
      ['one', ['/bin/echo', 'a', '--name=b']],
      ['two', ['/bin/sh', '-c', 'echo started', 'c']],
    ],
  )
})

test('a per-image option before any image is refused by name', async () => {
  await using host = await aHost()
  const image = await busybox()

  assert.match(await host.refused(['prepare', '--exec=/bin/true', image]), /--exec must follow an image/)
  assert.match(await host.refused(['prepare', '--name=x', image]), /--name must follow an image/)
  assert.match(await host.refused(['fetch', image, '--', 'x']), /unable to parse arguments: app arguments unsupported/)
  assert.match(await host.refused(['prepare', image, '--', 'a', '---', '--', 'b']), /only one set of app arguments allowed per image/)
  assert.match(await host.refused(['prepare', image, '--exec=/a', '--exec=/b']), /--exec specified multiple times for the same image/)
  assert.match(await host.refused(['prepare', image, '--mount=volume=v,target=/t']), /dangling mount point "\/t": volume "v" not found/)
})

test('a deprecated option works and says so', async () => {
  await using host = await aHost()
  const image = await busybox()

  const result = await host.rkt(['prepare', '--quiet', '--store-only', image])

  assert.match(result.stderr, /^Flag --store-only has been deprecated, please use --pull-policy=never$/m)
  assert.equal(result.status, 0, result.stderr)
})

test('a pod is named by any unambiguous prefix of its UUID, in any case', async () => {
  await using host = await aHost()
  const image = await busybox()
  const uuids = []
  for (let count = 0; count < 2; count++) uuids.push((await host.ok(['prepare', '--quiet', image])).trim())
  const [first = '', second = ''] = uuids
  const common = [...first].findIndex((letter, at) => letter !== second[at])

  assert.match(await host.ok(['status', first.slice(0, common + 1).toUpperCase()]), /^state=prepared$/m)
  if (common > 0) assert.match(await host.refused(['status', first.slice(0, common)]), /ambiguous uuid, 2 matches/)
  assert.match(await host.refused(['status', 'zzz']), /^status: problem retrieving pod: no matches found for "zzz"$/m)
  assert.match(await host.refused(['status', '']), /UUID cannot be empty/)
})

test('--debug prints the chain of causes, outermost first', async () => {
  await using host = await aHost()
  const missing = host.path('nofile.aci')

  const plain = await host.refused(['fetch', missing])
  const debug = await host.refused(['--debug', 'fetch', missing])

  assert.equal(plain, `fetch: open ${missing}: no such file or directory\n`)
  assert.match(
    debug,
    new RegExp(`^fetch: .*\\n(?:.*\\n)*fetch: +└─open ${missing}: no such file or directory$|└─open ${missing}: no such file`, 'm'),
  )
})

test('an ordinary user may ask for the version, and may not run a pod where somebody else has the data', async () => {
  await using host = await aHost()
  const {runProgram} = await import('./harness/index.ts')
  const asNobody = (...args: string[]) =>
    runProgram(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', `${checkout}/bin/rkt`, ...args], {env: {HOME: '/'}})

  const version = await asNobody('version')
  const run = await asNobody(`--dir=${host.dataDir}`, '--insecure-options=image', 'run', await busybox())

  assert.equal(version.status, 0, version.stderr)
  assert.equal(run.status, 254)
  assert.match(run.stderr, /^run: cannot open store: mkdir .*: permission denied\n$/)
})

test('what is typed out of habit is refused with the next step', async () => {
  await using host = await aHost()
  const image = await busybox()
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()
  const strict = host.globals.slice(0, -1)
  const cases: [args: string[], message: RegExp, globals?: readonly string[]][] = [
    [['run', host.path('nosuch.aci')], /^run: error opening ACI file: open \S+nosuch\.aci: no such file or directory$/m, strict],
    [['run', 'redis'], /^run: "redis" is no name of a publisher: .* an image of a registry docker:\/\/redis\.$/m],
    [['run', '--net=none', image, 'ls'], /^run: If "ls" is an argument of the app before it, write "--" between them\.$/m],
    [['run', image, '/bin/ls'], /^run: If "\/bin\/ls" is an argument of the app before it/m],
    [['run', '--port=8080:80', image], /^run: The manifests of its images name no ports\.$/m],
    [['run', image, '--seccomp=chmod'], /^run: Write it as --seccomp=mode=retain\|remove/m],
    [['run', '--hostname=a b', image], /^run: "a b" is no name for a host\nrun: Use up to 64 letters/],
    [['run', `--hostname=${'x'.repeat(65)}`, image], /is no name for a host/],
    [['run', '--stage1-name=coreos.com/rkt/stage1-coreos', image], /^run: Installed are coreos\.com\/rkt\/stage1-fly:/m],
    [['run', `sha512-${'0123456789abcdef'.repeat(4)}`], /^run: Run "rkt image list" to see the images of the store/m],
    [['image', 'export', 'example.com/nosuch', 'x.aci'], /^export: Run "rkt image list"/m],
    [['image', 'cat-manifest', 'nosuch.aci'], /^cat-manifest: open nosuch\.aci: no such file or directory$/m],
    [['enter', prepared, '/bin/ls'], new RegExp(`^enter: It is prepared: run it with "rkt run-prepared ${prepared}"\\.$`, 'm')],
    [['stop'], /^Error: the words do not fit: rkt stop UUID \.\.\.$/m],
    [['image', 'render', 'example.com/busybox'], /^Error: the words do not fit: rkt image render IMAGE OUTPUT$/m],
    [['trust', '--root', 'key.asc'], /^trust: Leave out --insecure-options=image\.$/m],
    [['trust', '--root'], /^trust: Give the file or the https URL of a key\.$/m, strict],
    [['run', '-it', image], /^Error: unknown shorthand flag: 'i' in -it\nUse --interactive\.\n\n$/],
    [['run', image, '--rm'], /^run: Run "rkt gc" to remove what has exited\.$/m],
    [['list', '--rm'], /^Error: unknown flag: --rm\n\n$/],
    [['ps'], /^Did you mean this\?\n\tlist$/m],
  ]
  for (const [args, message, globals = host.globals] of cases) assert.match(await host.refused(args, {globals}), message, args.join(' '))
})
