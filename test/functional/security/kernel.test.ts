/** What the kernel must refuse to an app of a default pod: each is tried, with the filter of system calls and without it. */
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {aHost, eventually, type Host, inApp, program, runProgram} from '../harness/index.ts'

/** What each attempt of test/fixtures/programs/attack.c came to. */
async function attack(
  host: Host,
  attempts: string,
  {app = [], pod = [], waived = []}: {readonly app?: string[]; readonly pod?: string[]; readonly waived?: string[]} = {},
): Promise<Map<string, string>> {
  const globals = host.globals.map((option) => (option.startsWith('--insecure-options') ? [option, ...waived].join(',') : option))
  const words = ['run', '--net=none', ...pod, await program('attack'), '--exec=/bin/attack', ...app, '--', ...attempts.split(' ')]
  const {status, stderr, stdout} = await host.rkt(words, {globals})
  assert.equal(status, 0, stderr)
  assert.match(stdout, /: end$/m)
  return new Map([...stdout.matchAll(/: ([\w/-]+) ((?:denied|POSSIBLE).*)$/gm)].map(([, name = '', what = '']) => [name, what]))
}

const possible = (outcomes: ReadonlyMap<string, string>): string[] =>
  [...outcomes].filter(([, what]) => what.startsWith('POSSIBLE')).map(([name]) => name)

test('mounts, namespaces, keys, modules, clocks, devices, memory of pid 1: nothing of it is given to an app', async () => {
  await using host = await aHost()

  const outcomes = await attack(host, 'all')

  assert.ok(outcomes.size > 45, `${outcomes.size} attempts`)
  assert.deepEqual(possible(outcomes), ['raw_socket', 'packet_socket'], 'CAP_NET_RAW is in the documented default')
})

test('without the capability there are no raw sockets', async () => {
  await using host = await aHost()

  const outcomes = await attack(host, 'raw_socket packet_socket', {app: ['--caps-remove=CAP_NET_RAW']})

  assert.deepEqual([...outcomes.values()], ['denied Operation not permitted', 'denied Operation not permitted'])
})

test('capabilities, devices and mounts hold without the filter of system calls', async () => {
  await using host = await aHost()
  // What an ordinary process may do on such a host, and the filter alone forbids.
  const ordinary = /^(?:raw_socket|packet_socket|unshare_users|clone_users|clone3_users|keys_.*|bpf_program)$/

  const outcomes = await attack(host, 'all', {waived: ['seccomp']})

  assert.deepEqual(
    possible(outcomes).filter((name) => !ordinary.test(name)),
    [],
  )
})

test('the filter and the devices hold without the capabilities: an app that has all of them', async () => {
  await using host = await aHost()

  const outcomes = await attack(host, 'keys_get keys_add bpf_program kexec swap_on device_memory device_disk by_handle', {
    waived: ['capabilities'],
  })

  assert.deepEqual(possible(outcomes), [])
})

test('signals of an app reach neither pid 1 of its pod nor anything outside', async () => {
  await using host = await aHost()
  const pod = await host.pod([
    '--net=none',
    await program('attack'),
    '--exec=/bin/sh',
    '--',
    '-c',
    'attack end_pid1; echo survived; sleep 1000',
  ])
  await pod.process.says(/survived/)
  await using outside = host.start(['version'])
  await outside.exit

  await host.rkt(['enter', pod.uuid, '/bin/sh', '-c', 'kill -TERM -1'])

  await eventually(() => pod.process.ended, 'the pod to end when all of its apps are gone')
  assert.equal((await runProgram(['true'])).status, 0, 'this process and its children live')
})

test('the files by which a host is governed cannot be written', async () => {
  await using host = await aHost()
  const files = [
    '/proc/sysrq-trigger',
    '/proc/sys/kernel/core_pattern',
    '/proc/sys/kernel/modprobe',
    '/proc/sys/kernel/hostname',
    '/proc/sys/kernel/domainname',
    '/proc/sys/vm/panic_on_oom',
    '/proc/sys/vm/drop_caches',
    '/proc/sys/net/ipv4/ip_forward',
    '/proc/sys/fs/binfmt_misc/register',
    '/proc/irq/default_smp_affinity',
    '/proc/1/mem',
    '/sys/kernel/uevent_helper',
    '/sys/kernel/mm/transparent_hugepage/enabled',
    '/sys/power/state',
    '/sys/fs/cgroup/cgroup.procs',
    '/sys/fs/cgroup/memory/release_agent',
    '/sys/fs/cgroup/devices/devices.allow',
    '/dev/mem',
    '/dev/kmsg',
    '/etc/hostname',
  ]

  const answer = await inApp(host, `attack write ${files.join(' ')}; exit 0`, [], [], await program('attack'))

  assert.equal(answer.match(/ denied /g)?.length, files.length, answer)
  assert.doesNotMatch(answer, /POSSIBLE/)
})

test("what tells of the host cannot be read: kernel memory and symbols, firmware, cgroups, pid 1's files and environment", async () => {
  await using host = await aHost()
  host.write('secret', 'the secret of the host')
  const secret = host.path('secret')
  const files = [
    secret,
    `/proc/1/root${secret}`,
    `/proc/1/cwd${secret}`,
    `/proc/self/root/../../..${secret}`,
    `/../../../..${secret}`,
    '/proc/1/environ',
    '/proc/1/exe',
    '/proc/1/maps',
    '/proc/1/mem',
    '/proc/1/stack',
    '/proc/1/fd/0',
    '/proc/1/fd/3',
    '/proc/1/fd/200',
    '/proc/1/map_files',
    '/proc/kcore',
    '/proc/kallsyms',
    '/proc/kmsg',
    '/proc/config.gz',
    '/proc/sched_debug',
    '/sys/kernel/debug/sched/debug',
    '/sys/firmware/dmi/tables/DMI',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
    '/sys/fs/cgroup/cgroup.procs',
    '/sys/module/kernel/uevent',
  ]

  const answer = await inApp(host, `attack paths ${files.join(' ')}; exit 0`, [], [], await program('attack'))

  assert.equal(answer.match(/ denied /g)?.length, files.length, answer)
  assert.doesNotMatch(answer, /POSSIBLE/)
})
