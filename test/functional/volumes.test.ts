import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, foreignFlavor, type Host, manifest, withoutLabels} from './harness/index.ts'

/** A mount of the host, gone with the value. */
class HostMount implements Disposable {
  readonly path: string

  constructor(path: string, ...how: readonly string[]) {
    this.path = path
    mkdirSync(path, {recursive: true})
    execFileSync('mount', [...how, path])
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-R', this.path])
  }
}

const script = async (text: string, mounts: readonly string[], ...options: readonly string[]) => [
  await busybox(),
  '--exec=/bin/sh',
  ...options,
  ...mounts.map((mount) => `--mount=volume=${mount}`),
  '--',
  '-c',
  text,
]

/** A directory of the host with a tmpfs mounted below it. */
function nested(host: Host): {readonly source: string; readonly mount: HostMount} {
  const source = host.path('nested')
  const mount = new HostMount(join(source, 'below'), '-t', 'tmpfs', 'rkt-test')
  writeFileSync(join(source, 'below/file'), 'below')
  return {mount, source}
}

test('mounts below a volume come along, read-only with it, and stay away where they are not wanted', async () => {
  await using host = await aHost()
  const {mount, source} = nested(host)
  using _mount = mount

  const answer = await host.ok([
    'run',
    '--net=none',
    `--volume=whole,kind=host,source=${source},readOnly=true`,
    `--volume=alone,kind=host,source=${source},recursive=false`,
    ...(await script('cat /w/below/file; echo; touch /w/below/new 2>&1; ls -A /a/below | wc -l; touch /a/written', [
      'whole,target=/w',
      'alone,target=/a',
    ])),
  ])

  assert.match(answer, /: below\n/)
  assert.match(answer, /\/w\/below\/new: Read-only file system/)
  assert.match(answer, /: 0$/m)
  assert.ok(existsSync(join(source, 'written')))
  assert.ok(!existsSync(join(source, 'below/new')))
})

test('a file and a device are volumes too, and a file is not mounted on a directory', async () => {
  await using host = await aHost()
  const file = host.write('one', 'content of one')
  const volumes = [`--volume=one,kind=host,source=${file}`, '--volume=null,kind=host,source=/dev/null']

  const answer = await host.ok([
    'run',
    '--net=none',
    ...volumes,
    ...(await script('cat /etc/deep/one; echo; echo lost > /etc/null && stat -c %F /etc/null', [
      'one,target=/etc/deep/one',
      'null,target=/etc/null',
    ])),
  ])
  assert.match(answer, /: content of one\n/)
  assert.match(answer, /: character special file/)

  const refusal = await host.rkt(['run', '--net=none', ...volumes, ...(await script('true', ['one,target=/tmp']))])
  assert.equal(refusal.status, 254)
  assert.match(refusal.stderr, /app "busybox": mount \/tmp: the target is a directory while the source is not/)
  const other = await script('echo started', [], '--name=other')
  const words = await script('true', ['dir,target=/etc/passwd'])
  const reverse = await host.rkt(['run', '--net=none', `--volume=dir,kind=host,source=${host.dir}`, ...other, '---', ...words])
  assert.equal(reverse.status, 254)
  assert.match(reverse.stderr, /app "busybox": mount \/etc\/passwd: the source is a directory while the target is not/)
  assert.doesNotMatch(reverse.stdout, /started/, 'no app of the pod has started')
})

test('mounts before every image are those of every app, and an app may have its own at their place', async () => {
  await using host = await aHost()
  const common = host.write('common/which', 'common').replace('/which', '')
  const own = host.write('own/which', 'own').replace('/which', '')

  const answer = await host.ok([
    'run',
    '--net=none',
    `--volume=common,kind=host,source=${common}`,
    `--volume=own,kind=host,source=${own}`,
    '--mount=volume=common,target=/v',
    ...(await script('cat /v/which; echo', [], '--name=one')),
    '---',
    ...(await script('cat /v/which; echo', ['own,target=/v/'], '--name=other')),
  ])

  assert.match(answer, /one\[\d+\]: common$/m)
  assert.match(answer, /other\[\d+\]: own$/m)
})

for (const flavor of ['native', 'fly'])
  test(`${flavor}: a link in the image leads no mount out of the root of the app`, async () => {
    await using host = await aHost()
    const outside = host.path('outside')
    mkdirSync(outside)
    const image = await buildImage(manifest({name: 'example.com/links'}), (rootfs) => {
      addBusybox(rootfs)
      symlinkSync(outside, join(rootfs, 'absolute'))
      symlinkSync(`../../../../../../../..${outside}`, join(rootfs, 'relative'))
    })
    const source = host.write('volume/file', 'of the volume').replace('/file', '')

    const answer = await host.ok([
      'run',
      `--stage1-name=coreos.com/rkt/stage1-${flavor}`,
      '--net=host',
      `--volume=a,kind=host,source=${source}`,
      `--volume=b,kind=host,source=${source}`,
      image,
      '--exec=/bin/sh',
      '--mount=volume=a,target=/absolute/one',
      '--mount=volume=b,target=/relative/../../..//relative/two',
      '--',
      '-c',
      `cat ${outside}/one/file ${outside}/two/file`,
    ])

    assert.match(answer, /of the volumeof the volume/)
    assert.deepEqual(existsSync(join(outside, 'one')) || existsSync(join(outside, 'two')), false, 'the host has no such directory')
  })

test('an empty volume of an image from Docker begins with what the image has there, for root and with other ids', async () => {
  await using host = await aHost()
  const annotations = [{name: 'appc.io/docker/repository', value: 'library/app'}]
  const app = {
    mountPoints: [
      {name: 'data', path: '/srv/data'},
      {name: 'none', path: '/not/there'},
    ],
  }
  const image = await buildImage(manifest({annotations, app, name: 'example.com/docker'}), (rootfs) => {
    addBusybox(rootfs)
    mkdirSync(join(rootfs, 'srv/data/deep'), {recursive: true})
    writeFileSync(join(rootfs, 'srv/data/deep/file'), 'of the image', {mode: 0o640})
    symlinkSync('deep/file', join(rootfs, 'srv/data/link'))
    execFileSync('chown', ['-hR', '33:34', join(rootfs, 'srv/data')])
    execFileSync('chmod', ['2750', join(rootfs, 'srv/data')])
  })
  const text = 'cat /srv/data/link; echo; stat -c "%u %g %a" /srv/data /srv/data/deep/file /not/there; echo > /srv/data/new; ls /srv/data'

  for (const options of [[], ['--private-users'], ['--private-users', '--no-overlay']]) {
    const answer = await host.ok(['run', '--net=none', ...options, image, '--', '-c', text])
    assert.equal(withoutLabels(answer), 'of the image\n33 34 2750\n33 34 640\n0 0 755\ndeep\nlink\nnew\n')
  }
})

/** What a pod and its host see of what the other mounts below a shared mount, with a volume of some propagation. */
async function seen(
  host: Host,
  source: string,
  flavor: string,
  propagation: string,
): Promise<{readonly inPod: boolean; readonly onHost: boolean}> {
  const pod = await host.pod(
    [
      `--stage1-name=coreos.com/rkt/stage1-${flavor}`,
      '--net=host',
      '--insecure-options=image,seccomp',
      `--volume=v,kind=host,source=${source}${propagation}`,
      ...(await script(
        'mount -t tmpfs pod /v/by-pod && echo mounted; until grep -q " /v/by-host " /proc/mounts || [ -e /v/asked ]; do sleep 0.05; done; grep -c " /v/by-host " /proc/mounts; sleep 1000',
        ['v,target=/v'],
        ...(flavor === 'native' ? ['--caps-retain=CAP_SYS_ADMIN,CAP_DAC_OVERRIDE'] : []),
      )),
    ],
    {globals: host.globals.filter((word) => !word.startsWith('--insecure')), ready: false},
  )
  await pod.process.says(/mounted/)
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
  execFileSync('mount', ['-t', 'tmpfs', 'host', join(source, 'by-host')])
  writeFileSync(join(source, 'asked'), '')
  const [, count] = await pod.process.says(/(?:: |\n)(\d)$/m)
  await pod.stop('--force')
  execFileSync('umount', [join(source, 'by-host')])
  execFileSync('rm', [join(source, 'asked')])
  const onHost = mounts.includes(` ${source}/by-pod `)
  if (onHost) execFileSync('umount', [join(source, 'by-pod')])
  return {inPod: count !== '0', onHost}
}

for (const flavor of ['native', 'fly'])
  test(`${flavor}: mounts propagate as the volume says, by default nowhere but with fly`, async () => {
    await using host = await aHost()
    using mount = new HostMount(host.path('shared'), '-t', 'tmpfs', 'rkt-test')
    execFileSync('mount', ['--make-shared', mount.path])
    for (const name of ['by-host', 'by-pod']) mkdirSync(join(mount.path, name))

    assert.deepEqual(await seen(host, mount.path, flavor, ',propagation=private'), {inPod: false, onHost: false})
    assert.deepEqual(await seen(host, mount.path, flavor, ',propagation=slave'), {inPod: true, onHost: false})
    assert.deepEqual(await seen(host, mount.path, flavor, ',propagation=shared'), {inPod: true, onHost: true})
    const both = flavor === 'fly'
    assert.deepEqual(await seen(host, mount.path, flavor, ''), {inPod: both, onHost: both})
  })

test('a propagation that cannot be is refused before anything starts', async () => {
  await using host = await aHost()
  mkdirSync(host.path('plain'))
  const volume = (propagation: string) => `--volume=v,kind=host,source=${host.path('plain')},propagation=${propagation}`
  const words = await script('echo started', ['v,target=/v'])

  const notShared = await host.rkt(['run', '--net=none', volume('shared'), ...words])
  assert.equal(notShared.status, 254)
  assert.match(notShared.stderr, /app "busybox": volume "v": \S+\/plain does not lie on a shared mount/)
  assert.doesNotMatch(notShared.stdout, /started/)

  assert.match(await host.refused(['run', volume('both'), ...words]), /propagation must be one of private, slave, shared/)
  assert.match(
    await host.refused(['run', '--volume=v,kind=empty,propagation=slave', ...words]),
    /propagation for empty volume cannot be set/,
  )

  const foreign = ['prepare', `--stage1-path=${await foreignFlavor()}`, volume('slave'), ...words]
  assert.match(await host.refused(foreign), /volume "v": stage1 "example.com\/stage1-foreign" has no propagation=slave/)
  assert.deepEqual(host.podsIn('prepared'), [])
})
