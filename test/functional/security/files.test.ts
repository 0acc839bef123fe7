/** Paths of images, options and pods that try to lead out of a root. */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, inApp, manifest, withoutLabels} from '../harness/index.ts'

test('a mount target with .. stays in the root of its app', async () => {
  await using host = await aHost()
  mkdirSync(host.path('empty'))

  const answer = await inApp(
    host,
    `echo inside > ${host.path('empty/target/file')}; cat ${host.path('empty/target/file')}`,
    ['--volume=v,kind=empty'],
    [`--mount=volume=v,target=/../../../../../..${host.path('empty/target')}`],
  )

  assert.equal(answer, 'inside\n')
  assert.deepEqual(readdirSync(host.path('empty')), [])
})

test('links of an image at and above a mount target lead nowhere but into its own root', async () => {
  await using host = await aHost()
  mkdirSync(host.path('goal'))
  const image = await buildImage(manifest({name: 'example.com/links-out'}), (rootfs) => {
    addBusybox(rootfs)
    symlinkSync(`../../../../../../..${host.path('goal')}`, join(rootfs, 'relative'))
    symlinkSync(host.path('goal'), join(rootfs, 'absolute'))
    symlinkSync('/proc/1/root', join(rootfs, 'magic'))
  })
  for (const target of ['/relative', '/absolute/below', '/relative/below/it', `/magic${host.path('goal')}`]) {
    const script = `echo inside > ${target}/file && cat ${target}/file`

    const {status, stderr, stdout} = await host.rkt([
      'run',
      '--net=none',
      '--volume=v,kind=empty',
      image,
      `--mount=volume=v,target=${target}`,
      '--exec=/bin/sh',
      '--',
      '-c',
      script,
    ])

    // Refused, or inside.
    if (status === 0) assert.equal(withoutLabels(stdout), 'inside\n', target)
    else assert.match(stderr, /stage1: /, target)
    assert.deepEqual(readdirSync(host.path('goal')), [], target)
  }
})

test('links of an image where rkt puts its own files lead nowhere else', async () => {
  await using host = await aHost()
  mkdirSync(host.path('goal'))
  const names = ['dev', 'proc', 'sys', 'tmp', 'run', 'etc']
  for (const name of names) {
    const image = await buildImage(manifest({name: `example.com/link-${name}`}), (rootfs) => {
      addBusybox(rootfs)
      rmSync(join(rootfs, name), {force: true, recursive: true})
      symlinkSync(host.path('goal'), join(rootfs, name))
    })

    await host.rkt(['run', '--net=none', '--dns=9.9.9.9', image, '--exec=/bin/true'])

    assert.deepEqual(readdirSync(host.path('goal')), [], name)
  }
})

test('links that an app leaves in a volume are resolved in the root of who follows them, and removed as links', async () => {
  await using host = await aHost()
  host.write('kept/secret', 'of the host')
  const image = await busybox()
  const mount = '--mount=volume=shared,target=/shared'
  const plant = `ln -s ${host.path('kept')} /shared/out; ln -s / /shared/root; touch /shared/done`
  const follow = `until [ -e /shared/done ]; do sleep 0.05; done; cat /shared/out/secret; ls /shared/root${host.path('kept')}; true`

  const result = await host.rkt([
    'run',
    '--net=none',
    '--volume=shared,kind=empty',
    ...[image, '--name=plants', mount, '--exec=/bin/sh', '--', '-c', plant, '---'],
    ...[image, '--name=follows', mount, '--exec=/bin/sh', '--', '-c', follow],
  ])
  await host.ok(['gc', '--grace-period=0s'])

  assert.equal(result.status, 0, result.stderr)
  assert.doesNotMatch(result.stdout, /of the host/)
  assert.equal(readFileSync(host.path('kept/secret'), 'utf8'), 'of the host')
  assert.ok(existsSync(host.path('kept')))
  assert.deepEqual(host.pods(), [])
})
