/** Labels of SELinux, on a host that has it (the guest: docs/testing.md): of processes, of files, and what an isolator asks for. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, globSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, eventually, inApp, manifest, withoutLabels} from './harness/index.ts'

const skip = existsSync('/sys/fs/selinux/enforce') ? false : 'the kernel has no SELinux'
const own = 'cat /proc/self/attr/current'
const sleeps = ['--exec=/bin/sh', '--', '-c', `${own}; echo; echo x > /file; sleep 1000`]

/** What this host has for pods. */
const [contexts = ''] = globSync('/etc/selinux/*/contexts/lxc_contexts')
const context = (key: string) => new RegExp(`^${key} = "(.*):s0"$`, 'm').exec(readFileSync(contexts, 'utf8'))?.[1]

/** The label of a file as the host sees it. */
const label = (path: string): string =>
  execFileSync('python3', ['-c', 'import os, sys; print(os.getxattr(sys.argv[1], "security.selinux").decode().strip("\\0"))', path], {
    encoding: 'utf8',
  }).trim()

test('each pod has categories of its own, in the labels of its processes and of its files', {skip}, async () => {
  await using host = await aHost()
  const image = await busybox()

  const pods = [await host.pod(['--net=none', image, ...sleeps]), await host.pod(['--net=none', image, ...sleeps])]

  const levels = new Set<string>()
  for (const pod of pods) {
    const shown = () => /^\w+:\w+:\w+:(s0:c\d+,c\d+)/m.exec(withoutLabels(pod.process.stdout))
    const [process, level = ''] = await eventually(shown, 'the label of the app')
    levels.add(level)
    assert.equal(process, `${context('process')}:${level}`)
    assert.equal((await pod.enter('/bin/sh', '-c', own)).replace('\0', ''), process)
    const root = `/proc/${await pod.initPid()}/root/opt/stage2/busybox/rootfs`
    for (const file of [join(root, 'file'), join(root, 'bin/busybox'), pod.dir])
      assert.equal(label(file), `${context('file')}:${level}`, file)
  }
  assert.equal(levels.size, 2)
})

test('the context of an isolator goes before that of the pod', {skip}, async () => {
  await using host = await aHost()
  const [user, role, type] = context('process')?.split(':') ?? []
  const isolators = [{name: 'os/linux/selinux-context', value: {level: 's0:c7', role, type, user}}]
  const app = {exec: ['/bin/sh'], group: '0', isolators, user: '0'}
  const image = await buildImage(manifest({app, name: 'example.com/isolated'}), addBusybox)

  assert.match(await inApp(host, own, [], [], image), new RegExp(`^${context('process')}:s0:c7`))
})

test('a context that the policy has not is refused by its name', {skip}, async () => {
  await using host = await aHost()
  const unknown = host.write(
    'contexts',
    readFileSync(contexts, 'utf8').replace(/^process = .*$/m, 'process = "system_u:system_r:nobody_t:s0"'),
  )
  execFileSync('mount', ['--bind', unknown, contexts])
  using _ = {[Symbol.dispose]: () => execFileSync('umount', [contexts])}

  const message = await host.refused(['run', '--net=none', await busybox(), '--exec=/bin/true'])

  assert.match(message, /the loaded policy has no context system_u:system_r:nobody_t:s0:c\d+,c\d+, which .*lxc_contexts asks for/)
})
