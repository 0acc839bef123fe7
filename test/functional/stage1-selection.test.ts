import assert from 'node:assert/strict'
import {copyFileSync, existsSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, busybox, foreignFlavor, type Host} from './harness/index.ts'

/** Runs a pod with the given words and answers the name of its stage1 image. */
async function stage1Of(host: Host, words: readonly string[]): Promise<string> {
  const {readFileSync} = await import('node:fs')
  const uuid = (await host.ok(['prepare', '--quiet', ...words, await busybox()])).trim()
  return JSON.parse(readFileSync(join(host.dataDir, 'pods/prepared', uuid, 'stage1/manifest'), 'utf8')).name
}

test('without a word and without configuration the stage1 is native, from beside the program', async () => {
  await using host = await aHost()

  assert.equal(await stage1Of(host, []), 'coreos.com/rkt/stage1-native')
})

test('a stage1 is chosen by path, url, name and hash', async () => {
  await using host = await aHost()
  const flavor = await foreignFlavor()
  const id = (await host.ok(['fetch', '--full', flavor])).trim()

  for (const word of [
    `--stage1-path=${flavor}`,
    `--stage1-url=file://${flavor}`,
    '--stage1-name=example.com/stage1-foreign:1.0.0',
    '--stage1-name=example.com/stage1-foreign',
    `--stage1-hash=${id}`,
  ]) {
    assert.equal(await stage1Of(host, [word]), 'example.com/stage1-foreign', word)
  }
  assert.equal(
    await stage1Of(host, ['--stage1-name=coreos.com/rkt/stage1-fly']),
    'coreos.com/rkt/stage1-fly',
    'a shipped name needs no store and no network',
  )
})

test('a stage1 is chosen by its file name in the configured directory', async () => {
  await using host = await aHost()
  mkdirSync(host.path('flavors'))
  copyFileSync(await foreignFlavor(), host.path('flavors/mine.aci'))
  host.write('local/paths.d/images.json', JSON.stringify({rktKind: 'paths', rktVersion: 'v1', 'stage1-images': host.path('flavors')}))

  assert.equal(await stage1Of(host, ['--stage1-from-dir=mine.aci']), 'example.com/stage1-foreign')
})

test('without a configured directory the file names of stage1 images are those beside the program too', async () => {
  await using host = await aHost()

  assert.equal(await stage1Of(host, ['--stage1-from-dir=stage1-fly.aci']), 'coreos.com/rkt/stage1-fly')
})

test("a stage1 is chosen by configuration, the local over the system's", async () => {
  await using host = await aHost()
  const flavor = await foreignFlavor()
  const stage1 = (location: string, name: string) => JSON.stringify({location, name, rktKind: 'stage1', rktVersion: 'v1', version: '1.0.0'})
  host.write('system/stage1.d/10.json', stage1('/nosuch/file.aci', 'example.com/other'))
  host.write('local/stage1.d/10.json', stage1(flavor, 'example.com/stage1-foreign'))

  assert.equal(await stage1Of(host, []), 'example.com/stage1-foreign')
  assert.equal(await stage1Of(host, []), 'example.com/stage1-foreign', 'the second time from the store')
})

test('two choices of a stage1 exclude each other', async () => {
  await using host = await aHost()
  const image = await busybox()

  assert.match(
    await host.refused(['prepare', '--stage1-path=/a', '--stage1-url=file:///b', image]),
    /flags --stage1-url and --stage1-path are mutually exclusive/,
  )
  assert.match(await host.refused(['prepare', '--stage1-path=/a', '--stage1-path=/b', image]), /--stage1-path already used/)
  assert.match(await host.refused(['prepare', '--stage1-path=/nosuch.aci', image]), /nosuch\.aci: no such file or directory/)
  assert.match(await host.refused(['prepare', '--stage1-hash=sha512-00', image]), /no image IDs found/)
})

test('the data directory comes from the option, else from configuration', async () => {
  await using host = await aHost()
  host.write('local/paths.d/data.json', JSON.stringify({data: host.path('configured'), rktKind: 'paths', rktVersion: 'v1'}))
  const globals = [`--local-config=${host.localConfig}`, `--system-config=${host.systemConfig}`, '--insecure-options=image']

  await host.ok(['fetch', await busybox()], {globals})
  assert.ok(existsSync(host.path('configured/cas')))
  await host.ok(['fetch', await busybox()])
  assert.ok(existsSync(join(host.dataDir, 'cas')))
})

test('rkt config shows what was merged from the system, the local and the user directory', async () => {
  await using host = await aHost()
  assert.deepEqual(JSON.parse(await host.ok(['config'])), {
    stage0: [
      {data: '', rktKind: 'paths', rktVersion: 'v1', 'stage1-images': ''},
      {location: '', name: '', rktKind: 'stage1', rktVersion: 'v1', version: ''},
    ],
  })
  const paths = (fields: object) => JSON.stringify({rktKind: 'paths', rktVersion: 'v1', ...fields})
  host.write('system/paths.d/a.json', paths({data: '/system', 'stage1-images': '/system-images'}))
  host.write('local/paths.d/a.json', paths({data: '/local'}))
  host.write('user/stage1.d/a.json', JSON.stringify({name: 'example.com/s', rktKind: 'stage1', rktVersion: 'v1', version: '1'}))

  const merged = JSON.parse(await host.ok([`--user-config=${host.userConfig}`, 'config', '--pretty-print=false']))

  assert.deepEqual(merged.stage0[0], {data: '/local', rktKind: 'paths', rktVersion: 'v1', 'stage1-images': '/system-images'})
  assert.deepEqual(merged.stage0[1], {location: '', name: 'example.com/s', rktKind: 'stage1', rktVersion: 'v1', version: '1'})
})

test('a configuration file that cannot be is refused, naming it', async () => {
  const cases: [string, string, RegExp][] = [
    ['paths.d/x.json', '{"rktKind":"paths","rktVersion":"v1","data":"relative"}', /data directory must be an absolute path/],
    ['paths.d/x.json', '{"rktVersion":"v1"}', /no rktKind specified in ".*paths\.d\/x\.json"/],
    [
      'paths.d/x.json',
      '{"rktKind":"stage1","rktVersion":"v1"}',
      /expects to have configuration files of kinds "paths", but "x\.json" has kind of "stage1"/,
    ],
    ['stage1.d/x.json', '{"rktKind":"stage1","rktVersion":"v1","name":"a"}', /default stage1 image name specified, but version is missing/],
    ['stage1.d/x.json', '{"rktKind":"stage1","rktVersion":"v1","location":"gopher://x"}', /invalid scheme "gopher"/],
    ['paths.d/x.json', '{', /x\.json/],
  ]
  for (const [name, content, message] of cases) {
    await using host = await aHost()
    host.write(`local/${name}`, content)

    const plain = await host.refused(['config'])
    const debug = await host.refused(['--debug', 'config'])

    assert.match(plain, /^config: cannot get configuration: /)
    assert.match(debug, message, content)
  }
})

test('completion prints a script that completes commands, options, pods and images', async () => {
  await using host = await aHost()
  const {rktProgram, runProgram} = await import('./harness/index.ts')
  const image = await busybox()
  const id = (await host.ok(['fetch', image])).trim().slice(0, 19)
  const uuid = (await host.ok(['prepare', '--quiet', image])).trim()
  host.write('completion', await host.ok(['completion', 'bash'], {globals: []}))
  const complete = async (...words: string[]): Promise<string[]> => {
    const script = `rkt() { '${rktProgram}' ${host.globals.join(' ')} "$@"; }; source ${host.path('completion')}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}; f=$(complete -p rkt | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f rkt "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"; printf '%s\\n' "\${COMPREPLY[@]}"`
    const {stderr, stdout} = await runProgram(['bash', '-c', script])
    assert.equal(stderr, '')
    return stdout
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
  }

  assert.deepEqual((await complete('rkt', 'run')).sort(), ['run', 'run-prepared'])
  assert.ok((await complete('rkt', 'gc', '--gr')).some((word) => word.startsWith('--grace-period')))
  assert.deepEqual(await complete('rkt', 'run-prepared', ''), [uuid.slice(0, 8)])
  assert.ok((await complete('rkt', 'image', 'rm', 'sha')).includes(id))
  assert.deepEqual(await complete('rkt', 'enter', ''), [], 'nothing runs')
  assert.match(await host.refused(['completion']), /shell type is not specified/)
  assert.match(await host.refused(['completion', 'zsh']), /'zsh' shell is not supported/)
})

test('a pod of an image that names a missing stage1 file leaves nothing behind', async () => {
  await using host = await aHost()

  await host.refused(['run', '--stage1-path=/nosuch.aci', await busybox()])

  assert.deepEqual(host.pods(), [])
})
