import assert from 'node:assert/strict'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {test} from 'node:test'
import {native, unwrap} from '../native/index.ts'
import {categoriesOf, contextOfFiles, parseLxcContexts, podContexts} from './selinux.ts'

const UUID = '0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11'

const LXC = `# comment
process = "system_u:system_r:svirt_lxc_net_t:s0"
content = "system_u:object_r:virt_var_lib_t:s0"
file = "system_u:object_r:svirt_sandbox_file_t:s0"
sandbox_kvm_process = "system_u:system_r:svirt_qemu_net_t:s0"
`

/** The root of a host with these files. */
function hostWith(files: Readonly<Record<string, string>>): Disposable & {readonly root: string} {
  const root = mkdtempSync(join(tmpdir(), 'rkt-selinux-'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), {recursive: true})
    writeFileSync(join(root, name), text)
  }
  return {[Symbol.dispose]: () => rmSync(root, {recursive: true}), root}
}

const enforcing = {'sys/fs/selinux/enforce': '1'}

test('contexts come from lxc_contexts of the policy that is configured, with categories of the pod', () => {
  using host = hostWith({
    ...enforcing,
    'etc/selinux/config': 'SELINUX=enforcing\nSELINUXTYPE=strict\n',
    'etc/selinux/strict/contexts/lxc_contexts': LXC,
  })

  const {mount, process} = podContexts(UUID, () => [], host.root) ?? assert.fail('no contexts')

  assert.match(process, /^system_u:system_r:svirt_lxc_net_t:s0:c\d+,c\d+$/)
  assert.match(mount, /^system_u:object_r:svirt_sandbox_file_t:s0:c\d+,c\d+$/)
  assert.equal(process.split(':').at(-1), mount.split(':').at(-1))
})

test('without SELinux, or without contexts for containers, a pod has none', () => {
  using disabled = hostWith({'etc/selinux/targeted/contexts/lxc_contexts': LXC})
  using without = hostWith(enforcing)

  assert.equal(
    podContexts(UUID, () => [], disabled.root),
    undefined,
  )
  assert.equal(
    podContexts(UUID, () => [], without.root),
    undefined,
  )
})

test('contexts that are there and incomplete are an error', () => {
  using host = hostWith({...enforcing, 'etc/selinux/targeted/contexts/lxc_contexts': 'process = "a:b:c:s0"\n'})

  assert.throws(() => podContexts(UUID, () => [], host.root), {code: 'RKT_SELINUX', message: /has no file context$/})
  assert.deepEqual(parseLxcContexts('nonsense\nfile=a:b:c:s0\n'), {file: 'a:b:c:s0'})
})

test('categories are two of 1024, in order, and another pair where a pod has the first', () => {
  const pairs = Array.from({length: 2000}, (_, at) => categoriesOf(`pod ${at}`, []))
  for (const pair of pairs) {
    const [low = 0, high = 0] = (/^c(\d+),c(\d+)$/.exec(pair)?.slice(1) ?? []).map(Number)
    assert.ok(low < high && high < 1024, pair)
  }
  const [first] = pairs
  // A pod whose first pair is taken: found by trying.
  const names = Array.from({length: 3000}, (_, at) => `pod ${at}`)
  const seen = new Map<string, string>()
  const twins = names.map((name) => {
    const pair = categoriesOf(name, [])
    const twin = seen.get(pair)
    seen.set(pair, name)
    return twin === undefined ? undefined : ([name, twin] as const)
  })
  const [name, twin] = twins.find((pair) => pair !== undefined) ?? assert.fail('3000 pods and no pair twice')
  assert.equal(categoriesOf(name, []), categoriesOf(twin, []))
  assert.notEqual(categoriesOf(name, [twin]), categoriesOf(twin, []))
  assert.equal(categoriesOf('pod 0', ['pod 0']), first)
})

test('what joins a pod gets the context that its files were given, where pods have contexts', {
  skip: process.geteuid?.() !== 0 && 'needs root',
}, async () => {
  using host = hostWith({...enforcing, 'etc/selinux/targeted/contexts/lxc_contexts': LXC, 'pod/file': ''})
  using disabled = hostWith({})
  const pod = {path: join(host.root, 'pod'), uuid: UUID}
  assert.equal(contextOfFiles(pod, host.root), undefined)

  unwrap(await native().labelTree(pod.path, 'system_u:object_r:svirt_sandbox_file_t:s0:c1,c2'))

  assert.equal(contextOfFiles(pod, host.root), 'system_u:object_r:svirt_sandbox_file_t:s0:c1,c2')
  assert.equal(contextOfFiles(pod, disabled.root), undefined)
})
