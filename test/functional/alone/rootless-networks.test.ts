/** The default network of an ordinary user's pod, by programs in user space. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, answers, ask, eventually, Lan, OrdinaryUser, processes, Running, webServer} from '../harness/index.ts'

/** The device as most machines have it: for everybody. */
function openTun(): Disposable {
  execFileSync('sh', ['-ec', 'mknod /tmp/tun c 10 200; chmod 666 /tmp/tun; mount --bind /tmp/tun /dev/net/tun'])
  return {
    [Symbol.dispose]() {
      execFileSync('sh', ['-ec', 'umount /dev/net/tun; rm /tmp/tun'])
    },
  }
}

/** A PATH on which, of these programs, only one is. */
class OnlyProgram implements Disposable {
  readonly path = mkdtempSync('/tmp/rkt-path-')

  constructor(program?: string) {
    for (const each of ['nsenter', 'setpriv', ...(program === undefined ? [] : [program])])
      symlinkSync(join('/usr/bin', each), join(this.path, each))
    execFileSync('chmod', ['755', this.path])
  }

  [Symbol.dispose](): void {
    rmSync(this.path, {recursive: true})
  }
}

for (const program of ['pasta', 'slirp4netns']) {
  test(`${program}: an ordinary user's pod reaches the world, and its ports are reached`, async (context) => {
    if (!existsSync(join('/usr/bin', program))) return context.skip(`${program} is not installed`)
    using lan = new Lan()
    using _tun = openTun()
    using only = new OnlyProgram(program)
    await using user = new OrdinaryUser()
    await using client = await aHost()
    client.within = lan.client.within
    await client.pod(['--net=host', await webServer()])
    await eventually(() => answers(lan.client, '127.0.0.1:80'), 'the server outside to answer')
    const rkt = (...words: string[]) =>
      new Running([...lan.host.within, ...user.command(['--insecure-options=image', ...words])], user.options({env: {PATH: only.path}}))

    const words = [await webServer(), '--exec=/usr/bin/curl', '--', '-sSf', '--max-time', '5', 'http://198.51.100.2/cgi-bin/who']
    const outside = await rkt('run', ...words).exit
    assert.equal(outside.status, 0, outside.stderr)
    assert.match(outside.stdout, /: 192\.0\.2\.2$/m)

    const uuidFile = join(user.home, 'pod')
    await using pod = rkt('run', `--uuid-file-save=${uuidFile}`, '--port=http:8080', '--port=echo:192.0.2.2:6000', await webServer())
    await eventually(
      () => answers(lan.client, '192.0.2.2:8080'),
      () => `the pod to answer: ${pod.stdout}${pod.stderr}`,
    )
    assert.notEqual(ask(lan.host, '127.0.0.1:8080'), '')
    const listed = await rkt('list', '--no-legend').exit
    assert.match(listed.stdout, program === 'pasta' ? /running.*default:ip4=192\.0\.2\.2$/m : /running.*default:ip4=10\.0\.2\.100$/m)
    const taken = await rkt('run', '--port=http:8080', await webServer()).exit
    assert.equal(taken.status, 254)
    assert.match(taken.stderr, /port tcp-0\.0\.0\.0:8080 is taken by /)

    // However the pod ends, the program goes with it.
    pod.kill('SIGKILL')
    await pod.exit
    await eventually(() => !processes().some(({executable}) => /pasta|slirp4netns/.test(executable)), `${program} to be gone`)
    const collected = await rkt('gc', '--grace-period=0s').exit
    assert.equal(collected.status, 0, collected.stderr)
    assert.doesNotMatch(collected.stderr, /networking/)
  })
}

test('without such a program ports are refused, and the message names both', async () => {
  using _tun = openTun()
  using only = new OnlyProgram()
  await using user = new OrdinaryUser()

  const refused = await user.rkt(['run', '--port=http:8080', await webServer()], {env: {PATH: only.path}})

  assert.equal(refused.status, 254)
  assert.match(refused.stderr, /failed to setup network: the default network of an ordinary user needs pasta or slirp4netns/)
})
