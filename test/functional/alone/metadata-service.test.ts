import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {connect} from 'node:net'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {
  addBusybox,
  addWithLibraries,
  aHost,
  buildImage,
  eventually,
  type Host,
  manifest,
  type Running,
  rktProgram,
} from '../harness/index.ts'

const socket = '/run/rkt/metadata-svc.sock'
const base = 'http://127.0.0.1:18112'

/** busybox and Debian's curl, which is what pods ask with. */
async function curlImage(): Promise<string> {
  const annotations = [{name: 'authors', value: 'ada'}]
  return await buildImage(manifest({annotations, app: {exec: ['/bin/sleep', '1000']}, name: 'example.com/curl'}), (rootfs) => {
    addBusybox(rootfs)
    addWithLibraries(rootfs, '/usr/bin/curl')
  })
}

async function aService(host: Host, ...options: string[]): Promise<Running> {
  const service = host.start(['metadata-service', ...options])
  await eventually(() => service.ended || service.stderr.includes('metadata service running...'), 'the service to run')
  assert.ok(!service.ended, service.stderr)
  return service
}

const registered = (host: Host, image: string) => host.pod(['--net=host', '--mds-register', image, '--annotation=example.com/colour=blue'])

/** What curl in a pod gets from its own base URL: the status behind the body. */
const curl = (...words: string[]) => `curl -s -w ' %{http_code} %{content_type}' ${words.join(' ')}`

test('a pod on the host network asks who it is, signs, and others verify', async () => {
  await using host = await aHost()
  const service = await aService(host)
  const pod = await registered(host, await curlImage())
  const inPod = (...words: string[]) => pod.enter('/bin/sh', '-c', curl(...words))
  const url = '$AC_METADATA_URL/acMetadata/v1'

  assert.match(await pod.enter('/bin/sh', '-c', 'echo $AC_METADATA_URL'), /^http:\/\/127\.0\.0\.1:18112\/[\da-f]{32}\n$/)
  assert.equal((await inPod(`${url}/pod/uuid`)).trim(), `${pod.uuid} 200 text/plain; charset=us-ascii`)
  assert.match(await inPod(`${url}/pod/manifest`), /"acKind":"PodManifest".* 200 application\/json/)
  assert.match(await inPod(`${url}/apps/curl/image/id`), /^sha512-[\da-f]+ 200/)
  assert.match(await inPod(`${url}/apps/curl/image/manifest`), /"name":"example.com\/curl".* 200 application\/json/)
  assert.match(
    await inPod(`${url}/apps/curl/annotations`),
    /^\[\{"name":"authors","value":"ada"\},\{"name":"example.com\/colour","value":"blue"\}\] 200/,
  )
  assert.match(await inPod(`${url}/pod/annotations/coreos.com/rkt/stage1/mutable`), /^false 200/)
  assert.match(await pod.enter('/bin/sh', '-c', `wget -q -O - ${url}/pod/uuid`), new RegExp(`^${pod.uuid}`))

  const signature = (await pod.enter('/bin/sh', '-c', `curl -s --data-urlencode content=hello ${url}/pod/hmac/sign`)).trim()
  const verify = (...fields: string[]) => inPod(...fields.map((field) => `--data-urlencode '${field}'`), `${url}/pod/hmac/verify`)
  assert.match(await verify('content=hello', `uuid=${pod.uuid}`, `signature=${signature}`), /^ 200/)
  assert.match(await verify('content=hullo', `uuid=${pod.uuid}`, `signature=${signature}`), /^ 403/)
  assert.match(await verify('content=hello', 'uuid=2b1e2a6c-4f0c-4d0a-9a3f-0f5b7c1e8d11', `signature=${signature}`), /^ 403/)

  assert.match(service.stderr, /^metadata-service: metadata service starting\.\.\.\nmetadata-service: metadata service running\.\.\.\n/)
  assert.match(service.stderr, new RegExp(`^metadata-service: PUT /pods/${pod.uuid}\\?token=[\\da-f]{4}… - 200$`, 'm'))
  assert.match(service.stderr, /^metadata-service: GET \/[\da-f]{4}…\/acMetadata\/v1\/pod\/uuid - 200$/m)
  assert.ok(!service.stderr.includes(readFileSync(join(pod.dir, 'mds-token'), 'utf8')), 'no token in the log')
  await pod.stop()
})

test('a pod with a network of its own reaches the service at its gateway', async () => {
  await using host = await aHost()
  await aService(host)
  const pod = await host.pod(['--mds-register', await curlImage()])

  assert.match(await pod.enter('/bin/sh', '-c', 'echo $AC_METADATA_URL'), /^http:\/\/172\.\d+\.\d+\.1:18112\/[\da-f]{32}\n$/)
  assert.equal(await pod.enter('/bin/sh', '-c', 'curl -s $AC_METADATA_URL/acMetadata/v1/pod/uuid'), pod.uuid)
  await pod.stop()
})

test('a service that is killed and started again knows its pods, and a pod that is removed is known no more', async () => {
  await using host = await aHost()
  const first = await aService(host)
  const image = await curlImage()
  const pod = await registered(host, image)
  const token = readFileSync(join(pod.dir, 'mds-token'), 'utf8')
  assert.equal(statSync(join(pod.dir, 'mds-token')).mode & 0o777, 0o600)
  first.kill('SIGKILL')
  await first.exit
  assert.ok(existsSync(socket), 'a killed service leaves its socket')

  const second = await aService(host)

  const uuid = async () => await fetch(`${base}/${token}/acMetadata/v1/pod/uuid`)
  assert.equal(await (await uuid()).text(), pod.uuid)
  assert.equal((await fetch(`${base}/${token}/acMetadata/v1/apps/curl/image/manifest`)).status, 200)
  await pod.stop()
  assert.equal((await uuid()).status, 200, 'an exited pod is known until it is collected')
  await host.ok(['rm', pod.uuid])
  assert.equal((await uuid()).status, 401)
  second.kill()
  assert.equal((await second.exit).status, 0)
  assert.match(second.stderr, /metadata service exiting\.\.\.\n$/)
  assert.ok(!existsSync(socket))
})

test('gc takes pods out of the service, and says so when it is not there', async () => {
  await using host = await aHost()
  const service = await aService(host)
  const image = await curlImage()
  const [one, two] = [await registered(host, image), await registered(host, image)]
  const token = readFileSync(join(one.dir, 'mds-token'), 'utf8')
  await one.stop()

  await host.ok(['gc', '--grace-period=0s'])

  assert.equal((await fetch(`${base}/${token}/acMetadata/v1/pod/uuid`)).status, 401)
  service.kill()
  await service.exit
  await two.stop()
  const {status, stderr} = await host.rkt(['gc', '--grace-period=0s'])
  assert.equal(status, 0)
  assert.match(stderr, /^gc: warning: could not unregister pod with metadata service: .*ENOENT/m)
  assert.deepEqual(host.pods(), [])
})

test('run-prepared registers, and without a service neither it nor run starts anything', async () => {
  await using host = await aHost()
  const image = await curlImage()
  const text = [
    'failed to register the pod: could not reach the metadata service.',
    'Make sure metadata service is currently running or use',
    '"rkt run --mds-register=false" to skip pod registration.',
    'For more information on running metadata service,',
    'see https://github.com/rkt/rkt/blob/master/Documentation/subcommands/metadata-service.md',
  ].join('\n')
  const prepared = (
    await host.ok(['prepare', '--quiet', image, '--exec=/bin/sh', '--', '-c', 'wget -q -O - $AC_METADATA_URL/acMetadata/v1/pod/uuid'])
  ).trim()

  assert.equal(await host.refused(['run', '--net=host', '--mds-register', image]), `run: ${text}\n`)
  assert.equal(await host.refused(['run-prepared', '--net=host', '--mds-register', prepared]), `run-prepared: ${text}\n`)
  assert.deepEqual(host.pods(), [`prepared/${prepared}`])
  assert.match(await host.refused(['run', '--net=none', '--mds-register', image]), /--mds-register flag does not work with --net=none/)

  await aService(host)
  assert.match(await host.ok(['run-prepared', '--net=host', '--mds-register', prepared]), new RegExp(prepared))
})

test('a dead socket is as good as none, after three tries that are said, and leaves the pod as it was', async () => {
  await using host = await aHost()
  const image = await curlImage()
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()
  const service = await aService(host)
  service.kill('SIGKILL')
  await service.exit

  const stderr = await host.refused(['run-prepared', '--net=host', '--mds-register', prepared])

  assert.equal(stderr.match(/stage0: registering the pod failed \(\d of 3\): could not reach the metadata service\./g)?.length, 3)
  assert.match(stderr, /run-prepared: failed to register the pod: could not reach the metadata service\.\n/)
  assert.deepEqual(host.pods(), [`prepared/${prepared}`])
  assert.ok(!readdirSync(join(host.dataDir, 'pods/prepared', prepared)).some((name) => name.startsWith('mds-')))
})

test('hostile requests get a clear status, and the pods that behave are answered meanwhile', async () => {
  await using host = await aHost()
  const service = await aService(host)
  const pod = await registered(host, await curlImage())
  const token = readFileSync(join(pod.dir, 'mds-token'), 'utf8')
  const api = `${base}/${token}/acMetadata/v1`
  const status = async (url: string, init?: RequestInit) => (await fetch(url, init)).status
  const large = Buffer.alloc(8 << 20, 'a')

  assert.equal(await status(`${base}/${'0'.repeat(32)}/acMetadata/v1/pod/uuid`), 401)
  assert.equal(await status(`${base}/${pod.uuid}/acMetadata/v1/pod/uuid`), 401)
  assert.equal(await status(`${api}/pod/hmac/sign`, {body: Buffer.concat([Buffer.from('content='), large]), method: 'POST'}), 413)
  assert.equal(await status(`${base}/${'0'.repeat(32)}/acMetadata/v1/pod/hmac/sign`, {body: large, method: 'POST'}), 401)
  assert.equal(await status(`${base}/pods/${pod.uuid}`, {method: 'DELETE'}), 404, 'registration is not for the network')
  assert.equal(await raw('GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), '400')
  assert.equal(await raw(`GET /${'a'.repeat(20 << 10)} HTTP/1.1\r\nHost: x\r\n\r\n`), '431')
  assert.equal(await raw('\u0000\u0001\u0002\r\n\r\n'), '400')
  assert.equal(statSync(socket).mode & 0o777, 0o660)
  assert.equal(statSync('/run/rkt').mode & 0o777, 0o755)

  // A slow request is cut off, and so many of them that one address cannot have more keep nobody else from being answered.
  const slow = Array.from({length: 300}, () => connect({host: '127.0.0.1', localAddress: '127.0.0.2', port: 18112}).on('error', () => {}))
  const head = 'POST /x/acMetadata/v1/pod/hmac/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n'
  for (const [index, each] of slow.entries()) each.resume().write(index % 2 === 0 ? head : `${head}\r\n`)
  await sleep(200)
  assert.equal(await status(`${api}/pod/uuid`), 200)
  await eventually(() => slow.every(({destroyed}) => destroyed), 'slow clients to be cut off', 30_000)
  for (const each of slow) each.destroy()

  assert.equal(await status(`${api}/pod/uuid`), 200)
  assert.ok(!service.ended)
  await pod.stop()
})

/** The status of what a server answers to some bytes. */
async function raw(text: string): Promise<string> {
  const client = connect(18112, '127.0.0.1').on('error', () => {})
  client.write(text, 'latin1')
  let answer = ''
  for await (const chunk of client) answer += String(chunk)
  return /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? answer
}

test('systemd may hand over the socket, and what it says has to make sense', async () => {
  await using host = await aHost()
  const refused = async (count: string) => await host.refused(['metadata-service'], {env: {LISTEN_FDS: count}})
  assert.match(await refused('x'), /^metadata-service: error parsing LISTEN_FDS env var: /)
  assert.match(await refused('0'), /^metadata-service: LISTEN_FDS < 1/)

  const path = host.path('activated.sock')
  const words = ['-l', path, rktProgram, ...host.globals, 'metadata-service', '--listen-port=18113']
  const activation = spawn('systemd-socket-activate', words, {stdio: ['ignore', 'ignore', 'pipe']})
  let stderr = ''
  activation.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  try {
    await eventually(() => existsSync(path), 'systemd to listen')
    const client = connect(path).on('error', () => {})
    client.end('DELETE /pods/2b1e2a6c-4f0c-4d0a-9a3f-0f5b7c1e8d11 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    let answer = ''
    for await (const chunk of client) answer += String(chunk)
    assert.match(answer, /^HTTP\/1\.1 404 .*pod not found$/s)
    assert.match(stderr, /metadata service running\.\.\./)
  } finally {
    activation.kill('SIGKILL')
  }
})

test('a port or a socket that another service has is refused, and that service keeps both', async () => {
  await using host = await aHost()
  const service = await aService(host)

  assert.match(
    await host.refused(['metadata-service', '--listen-port=18114']),
    /error listening on socket .*: another metadata service answers there/,
  )
  assert.match(await host.refused(['metadata-service'], {env: {LISTEN_FDS: undefined}}), /error listening on (port 18112|socket)/)
  assert.match(await host.refused(['metadata-service', '--listen-port=99999']), /error listening on port 99999/)
  assert.ok(existsSync(socket) && !service.ended)
})
