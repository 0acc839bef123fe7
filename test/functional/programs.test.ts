/** Programs of the host's distribution under the default isolation, as an ordinary user: each starts, and does something with threads. */
import assert from 'node:assert/strict'
import {chmodSync, existsSync, mkdirSync, realpathSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, buildImage, manifest, withoutLabels} from './harness/index.ts'

/** An image that is nothing but the places where the host's own programs are mounted. */
async function places(): Promise<string> {
  const app = {exec: ['/bin/sh'], group: '1000', user: '1000', workingDirectory: '/tmp'}
  return await buildImage(manifest({app, name: 'example.com/places'}), (rootfs) => {
    for (const directory of ['etc', 'tmp', 'usr', 'opt']) mkdirSync(join(rootfs, directory))
    chmodSync(join(rootfs, 'tmp'), 0o1777)
    for (const link of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${link}`, join(rootfs, link))
  })
}

const node = realpathSync(process.execPath)

const PROGRAMS: Readonly<Record<string, readonly [path: string, script: string, answer: RegExp]>> = {
  bash: ['/usr/bin/bash', 'bash -c "echo $((40 + 2)) | cat"', /^42$/m],
  git: [
    '/usr/bin/git',
    'git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m done && git log --format=%s',
    /^done$/m,
  ],
  gpg: ['/usr/bin/gpg', 'mkdir -m 700 g && gpg --homedir g --batch --passphrase "" --quick-gen-key a@b 2>&1; gpg --homedir g -k', /a@b/],
  node: [node, "/opt/node -e \"new (require('worker_threads').Worker)('console.log(42)', {eval: true})\"", /^42$/m],
  openssl: ['/usr/bin/openssl', 'openssl genpkey -algorithm ed25519 | head -1', /BEGIN PRIVATE KEY/],
  perl: ['/usr/bin/perl', 'perl -e "print fork() ? (wait, qq(parent\\n))[1] : qq()"', /^parent$/m],
  python3: [
    '/usr/bin/python3',
    '/usr/bin/python3 -c "import multiprocessing, threading; threading.Thread(target=print, args=(42,)).start(); print(multiprocessing.Pool(2).map(abs, [-1, -2]))"',
    /^42$[\s\S]*^\[1, 2\]$/m,
  ],
  redis: ['/usr/bin/redis-server', 'redis-server --port 7001 & sleep 1; redis-cli -p 7001 ping', /^PONG$/m],
}

for (const [name, [path, script, answer]] of Object.entries(PROGRAMS)) {
  test(`${name} runs under the default isolation`, {skip: existsSync(path) ? false : `${path} is not here`}, async () => {
    await using host = await aHost()
    const volumes = Object.entries({etc: '/etc', node, usr: '/usr'}).flatMap(([volume, source]) => [
      `--volume=${volume},kind=host,source=${source},readOnly=true`,
      `--mount=volume=${volume},target=${volume === 'node' ? '/opt/node' : source}`,
    ])

    const {status, stderr, stdout} = await host.rkt(['run', '--net=none', ...volumes, await places(), '--exec=/bin/sh', '--', '-c', script])

    assert.match(withoutLabels(stdout), answer, stderr)
    assert.doesNotMatch(stdout, /is not allowed/)
    assert.equal(status, 0, stdout + stderr)
  })
}
