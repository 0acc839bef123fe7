/** The program itself, with keys of gpg, a terminal of node-pty and a web server with TLS whose authority only the test knows. */
import assert from 'node:assert/strict'
import {type ExecFileException, execFile, execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer as createHttpServer, type RequestListener, type Server} from 'node:http'
import {createServer as createHttpsServer} from 'node:https'
import {createRequire} from 'node:module'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, beforeEach, describe, test} from 'node:test'

const rkt = join(import.meta.dirname, '../../../bin/dev')
/** An address that no other server of this host uses: names of images hold no port, so 443 it must be. */
const host = '127.77.3.1'

let home: string
let etc: string
let fingerprint: string
const file = (name: string) => join(home, name)
const gpg = (args: string[]) =>
  execFileSync('gpg', ['--homedir', home, '--batch', '--yes', '--quiet', '--pinentry-mode=loopback', '--passphrase=', ...args], {
    stdio: 'pipe',
  })

before(() => {
  home = mkdtempSync(join(tmpdir(), 'rkt-trust-'))
  gpg(['--quick-generate-key', 'Carly Container (ACI signing key) <carly@example.com>', 'ed25519', 'sign', '0'])
  writeFileSync(file('k.asc'), gpg(['--armor', '--export', 'carly@example.com']))
  fingerprint = /^fpr:+([\dA-F]+):/m.exec(gpg(['--with-colons', '--list-keys', 'carly@example.com']).toString())?.[1] ?? ''
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const openssl = (args: string[]) => execFileSync('openssl', args, {cwd: home, stdio: 'pipe'})
  openssl([
    'req',
    '-x509',
    ...ec,
    '-keyout',
    'tls.key',
    '-out',
    'tls.pem',
    '-subj',
    '/CN=x',
    '-days',
    '2',
    '-addext',
    `subjectAltName=IP:${host}`,
  ])
  openssl(['ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', 'sigstore.key'])
  openssl(['ec', '-in', 'sigstore.key', '-pubout', '-out', 'sigstore.pub'])
})

after(() => {
  execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])
  rmSync(home, {recursive: true})
})

beforeEach(() => {
  etc = mkdtempSync(join(home, 'etc-'))
})

const globals = () => [`--local-config=${etc}`, `--system-config=${join(home, 'usr')}`]

interface Outcome {
  readonly status: number
  readonly stderr: string
  readonly stdout: string
}

/** Runs `rkt trust` without a terminal; its environment knows the authority of the test's server. */
function trust(args: readonly string[], {tls = true} = {}): Promise<Outcome> {
  const env = {...process.env, ...(tls && {SSL_CERT_FILE: file('tls.pem')})}
  return new Promise((resolve) => {
    const child = execFile(
      rkt,
      [...globals(), 'trust', ...args],
      {encoding: 'utf8', env},
      (error: ExecFileException | null, stdout, stderr) => {
        resolve({status: typeof error?.code === 'number' ? error.code : 0, stderr, stdout})
      },
    )
    child.stdin?.end()
  })
}

const grouped = () => {
  const groups = fingerprint.match(/.{4}/g) ?? []
  return `${groups.slice(0, 5).join(' ')}  ${groups.slice(5).join(' ')}`
}
const stored = (prefix: string) => join(etc, 'trustedkeys', prefix, fingerprint.toLowerCase())
const shown = () => `gpg key fingerprint is: ${grouped()}\n\tCarly Container (ACI signing key) <carly@example.com>\n`

describe('the words of rkt trust', () => {
  const refusals: readonly (readonly [string[], string])[] = [
    [['--root', '--prefix=a', 'x'], 'trust: --root and --prefix usage mutually exclusive\n'],
    [['--prefix=https://example.com', 'x'], 'trust: --prefix must not contain a URL scheme, omit https://\n'],
    [
      ['--prefix=example.com/a/*', 'x'],
      'trust: --prefix "example.com/a/*" is no beginning of a name\ntrust: Use --prefix=example.com/a, which counts for every name that begins so.\n',
    ],
    [['--insecure-options=image', '--root', 'x'], 'trust: could not get the keystore\ntrust: Leave out --insecure-options=image.\n'],
    [['--root'], 'trust: error determining key location: empty prefix\ntrust: Give the file or the https URL of a key.\n'],
    [['--prefix=a.com', 'ftp://a.com/k'], 'trust: error adding keys: only local files and http or https URLs supported\n'],
    [['--prefix=a.com', 'http://127.0.0.1:1/k'], 'trust: error adding keys: --insecure-allow-http required for http URLs\n'],
    [['--prefix=a.com', '/nonexistent/key'], 'trust: error adding keys: open /nonexistent/key: no such file or directory\n'],
  ]
  for (const [args, stderr] of refusals) {
    test(`${args.join(' ')} is refused`, async () => {
      assert.deepEqual(await trust(args), {status: 254, stderr, stdout: ''})
    })
  }

  test('none at all show the help, and the usage behind it', async () => {
    const {status, stderr, stdout} = await trust([])
    const usage = 'Error: the words do not fit: rkt trust [--prefix=PREFIX] [--root] [PUBKEY...]\n\n'
    assert.deepEqual({status, stderr}, {status: 254, stderr: usage})
    assert.match(stdout, /^NAME:\n\ttrust - /)
  })

  test('a key for nothing in particular is not taken for one for everything', async () => {
    const {status, stderr} = await trust([file('k.asc')])
    assert.equal(status, 254)
    assert.match(
      stderr,
      /^trust: aborting due to implicit unbounded trust \(root domain\)\nPlease provide a specific domain prefix to trust:\n/,
    )
  })
})

describe('a key file', () => {
  test('is shown and stored without review when its reviewer wants none', async () => {
    const result = await trust(['--prefix=example.com/bb', '--skip-fingerprint-review', file('k.asc')])

    assert.deepEqual(result, {
      status: 0,
      stderr: `pubkey: prefix: "example.com/bb"\nkey: "${file('k.asc')}"\n`,
      stdout: `${shown()}Trusting "${file('k.asc')}" for prefix "example.com/bb" without fingerprint review.\nAdded key for prefix "example.com/bb" at "${stored('prefix.d/example.com/bb')}"\n`,
    })
    assert.match(readFileSync(stored('prefix.d/example.com/bb'), 'utf8'), /^-----BEGIN PGP PUBLIC KEY BLOCK-----/)
    assert.equal((await trust(['--prefix=example.com/bb', '--skip-fingerprint-review', file('k.asc')])).status, 0)
  })

  test('for every name goes to root.d', async () => {
    const {stdout} = await trust(['--root', '--skip-fingerprint-review', file('k.asc')])
    assert.ok(
      stdout.endsWith(`Trusting "${file('k.asc')}" for prefix "" without fingerprint review.\nAdded root key at "${stored('root.d')}"\n`),
    )
  })

  test('is not taken where nobody can be asked', async () => {
    const {status, stderr} = await trust(['--prefix=example.com/bb', file('k.asc')])
    const expected = [
      `pubkey: prefix: "example.com/bb"`,
      `key: "${file('k.asc')}"`,
      'pubkey: To trust the key for "example.com/bb", do one of the following:',
      'pubkey:  - call rkt with --trust-keys-from-https',
      'pubkey:  - run: rkt trust --prefix "example.com/bb"',
      'trust: error adding keys: unable to ask user to review fingerprint due to lack of tty',
      'trust: Review the fingerprint on a terminal; or compare it with one that reached you another way, and give --skip-fingerprint-review.',
    ]
    assert.deepEqual({status, stderr}, {status: 254, stderr: `${expected.join('\n')}\n`})
    assert.equal(existsSync(join(etc, 'trustedkeys')), false)
  })

  test('that is none, or too large, is refused and nothing is stored', async () => {
    writeFileSync(file('none'), 'no key')
    writeFileSync(file('large'), Buffer.alloc(1024 * 1024 + 1, 'a'))
    for (const name of ['none', 'large']) {
      const {status, stderr} = await trust(['--root', '--skip-fingerprint-review', file(name)])
      assert.equal(status, 254)
      assert.match(stderr, /^trust: error adding keys: /)
    }
    assert.equal(existsSync(join(etc, 'trustedkeys')), false)
  })

  test('is not stored under a prefix that is no name', async () => {
    for (const prefix of ['example.com/*', 'a/../../b']) {
      assert.equal((await trust([`--prefix=${prefix}`, '--skip-fingerprint-review', file('k.asc')])).status, 254)
    }
    assert.equal(existsSync(join(etc, 'trustedkeys')), false)
  })

  test('cannot move the cursor of whoever reviews it', async () => {
    gpg(['--quick-generate-key', 'evil \u001b[2J\u202e <evil@example.com>', 'ed25519', 'sign', '0'])
    writeFileSync(file('evil.asc'), gpg(['--armor', '--export', 'evil@example.com']))
    const {stdout} = await trust(['--root', '--skip-fingerprint-review', file('evil.asc')])
    assert.match(stdout, /\tevil \\u\{1b\}\[2J\\u\{202e\} <evil@example\.com>\n/)
  })

  test('of sigstore lies beside those of gpg', async () => {
    const {status, stdout} = await trust(['--sigstore-key', '--prefix=quay.io/coreos', '--skip-fingerprint-review', file('sigstore.pub')])
    assert.equal(status, 0)
    const sha256 = /^sigstore key fingerprint is: SHA256:([\da-f]{64})\n\tECDSA P-256\n/.exec(stdout)?.[1]
    assert.deepEqual(readdirSync(join(etc, 'trustedkeys/sigstore-prefix.d/quay.io/coreos')), [`${sha256}.pem`])
    assert.equal((await trust(['--sigstore-key', '--root', '--skip-fingerprint-review', file('sigstore.key')])).status, 254)
    for (const [typed, directory] of [
      ['localhost:5000/team', 'localhost_5000/team'],
      ['docker://quay.io/other', 'quay.io/other'],
      ['docker.io/library', 'registry-1.docker.io/library'],
    ] as const) {
      const {status: taken, stderr} = await trust([
        '--sigstore-key',
        `--prefix=${typed}`,
        '--skip-fingerprint-review',
        file('sigstore.pub'),
      ])
      assert.equal(taken, 0, stderr)
      assert.match(stderr, new RegExp(`the images of ${typed} are called ${directory}, for which`))
      assert.deepEqual(readdirSync(join(etc, 'trustedkeys/sigstore-prefix.d', directory)), [`${sha256}.pem`])
    }
    const tagged = await trust(['--sigstore-key', '--prefix=localhost:5000/app:1.0', file('sigstore.pub')])
    assert.deepEqual([tagged.status, /leave the tag or digest away/.test(tagged.stderr)], [254, true])
    const port = await trust(['--prefix=localhost:5000/app', file('k.asc')])
    assert.deepEqual([port.status, /holds a port.*\n.*--sigstore-key/.test(port.stderr)], [254, true])
    assert.equal((await trust(['--sigstore-key', '--root', '--skip-fingerprint-review', file('k.asc')])).status, 254)
  })
})

interface Terminal {
  kill(): void
  onData(listener: (text: string) => void): void
  onExit(listener: (end: {readonly exitCode: number}) => void): void
  write(text: string): void
}
interface Pty {
  spawn(program: string, args: string[], options: {readonly cols: number}): Terminal
}

function loadPty(): Pty | undefined {
  try {
    return createRequire(import.meta.url)('node-pty') as Pty
  } catch {
    return undefined // optional: it needs a C++ compiler to install
  }
}

const pty = loadPty()

describe('a review at the terminal', {skip: pty === undefined && 'node-pty is not installed'}, () => {
  const question = 'Are you sure you want to trust this key (yes/no)?'

  /** Answers each question with the next of the answers. */
  function review(answers: readonly string[]): Promise<{status: number; text: string}> {
    return new Promise((resolve) => {
      const terminal = pty?.spawn(rkt, [...globals(), 'trust', '--prefix=example.com/bb', file('k.asc')], {cols: 400})
      let text = ''
      let asked = 0
      terminal?.onData((data) => {
        text += data
        while (asked < answers.length && text.split(question).length - 1 > asked) terminal.write(answers[asked++] ?? '')
      })
      terminal?.onExit(({exitCode}) => resolve({status: exitCode, text: text.replaceAll('\r', '')}))
    })
  }

  test('with the answer yes trusts the key', async () => {
    const {status, text} = await review(['yes\n'])
    assert.equal(status, 0)
    assert.match(text, /after fingerprint review\.\nAdded key for prefix "example\.com\/bb" at "/)
    assert.ok(existsSync(stored('prefix.d/example.com/bb')))
  })

  test('with the answer no trusts it not, and that is no failure', async () => {
    const {status, text} = await review(['no\n'])
    assert.equal(status, 0)
    assert.ok(text.endsWith(`pubkey: not trusting "${file('k.asc')}"\n`))
    assert.equal(existsSync(join(etc, 'trustedkeys')), false)
  })

  test('takes nothing else for a yes', async () => {
    const answers = ['y\n', 'YES\n', '\n', ' yes\n', 'no\n']
    const {text} = await review(answers)
    assert.equal(text.split("Please enter 'yes' or 'no'\n").length - 1, answers.length - 1)
    assert.equal(existsSync(join(etc, 'trustedkeys')), false)
  })

  test('fails at the end of the input', async () => {
    const {status, text} = await review(['\u0004'])
    assert.equal(status, 254)
    assert.ok(text.endsWith('trust: error adding keys: error reading input\n'))
  })
})

describe('keys that lie elsewhere', () => {
  let secure: Server
  let plain: Server
  let base: string
  let plainBase: string
  let skip: string | undefined

  const answer: RequestListener = ({url}, response) => {
    const bodies: Readonly<Record<string, string | Buffer>> = {
      '/app?ac-discovery=1': `<meta name="ac-discovery-pubkeys" content="${host}/app ${base}/k.asc">`,
      '/k.asc': readFileSync(file('k.asc')),
      '/large': Buffer.alloc(2_000_000),
    }
    const body = bodies[url ?? '']
    if (url === '/down') response.writeHead(302, {Location: `${plainBase}/k.asc`}).end()
    else response.writeHead(body === undefined ? 404 : 200).end(body)
  }

  before(async () => {
    base = `https://${host}`
    const listen = (server: Server, port: number) =>
      new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
    plain = createHttpServer(answer)
    secure = createHttpsServer({cert: readFileSync(file('tls.pem')), key: readFileSync(file('tls.key'))}, answer)
    await listen(plain, 0)
    plainBase = `http://${host}:${(plain.address() as AddressInfo).port}`
    await listen(secure, 443).catch((error: Error) => {
      skip = `port 443 of ${host} cannot be had: ${error.message}`
    })
  })

  after(() => {
    for (const server of [plain, secure]) server.close()
  })

  test('are found where the publisher of a prefix says, and taken without review when https is enough', async (t) => {
    if (skip) return t.skip(skip)
    const {status, stdout} = await trust(['--trust-keys-from-https', `--prefix=${host}/app`])
    assert.equal(status, 0)
    assert.ok(stdout.includes(`Trusting "${base}/k.asc" for prefix "${host}/app" without fingerprint review.\n`))
    assert.ok(existsSync(stored(`prefix.d/${host}/app`)))
  })

  test('need their review otherwise', async (t) => {
    if (skip) return t.skip(skip)
    const {stderr} = await trust([`--prefix=${host}/app`])
    assert.match(stderr, /unable to ask user to review fingerprint due to lack of tty\ntrust: Review .*\n$/)
  })

  test('are not taken of a server that nobody vouches for, unless the user says so', async (t) => {
    if (skip) return t.skip(skip)
    const refused = await trust(['--root', '--skip-fingerprint-review', `${base}/k.asc`], {tls: false})
    assert.equal(refused.status, 254)
    const insecure = await trust(['--insecure-options=tls', '--root', '--skip-fingerprint-review', `${base}/k.asc`], {tls: false})
    assert.equal(insecure.status, 0)
  })

  test('do not come over a redirect to http, unless http was allowed', async (t) => {
    if (skip) return t.skip(skip)
    assert.equal((await trust(['--root', '--trust-keys-from-https', `${base}/down`])).status, 254)
    const allowed = await trust(['--root', '--trust-keys-from-https', '--insecure-allow-http', `${base}/down`])
    assert.match(allowed.stderr, /lack of tty\ntrust: Review .*\n$/)
  })

  test('that are missing or too large are refused', async (t) => {
    if (skip) return t.skip(skip)
    const missing = await trust(['--root', '--skip-fingerprint-review', `${base}/nothing`])
    assert.deepEqual([missing.status, missing.stderr], [254, 'trust: error adding keys: bad HTTP status code: 404\n'])
    assert.equal((await trust(['--root', '--skip-fingerprint-review', `${base}/large`])).status, 254)
  })

  test('come over http where that was allowed, and are reviewed', async () => {
    const asked = await trust(['--root', '--trust-keys-from-https', '--insecure-allow-http', `${plainBase}/k.asc`])
    assert.match(asked.stderr, /lack of tty\ntrust: Review .*\n$/)
    const insecure = ['--insecure-options=pubkey', '--root', '--trust-keys-from-https', '--insecure-allow-http', `${plainBase}/k.asc`]
    assert.equal((await trust(insecure)).status, 0)
  })
})

test('a key that cannot be stored names the file', async () => {
  mkdirSync(join(etc, 'trustedkeys'))
  writeFileSync(join(etc, 'trustedkeys/root.d'), '')
  const {status, stderr} = await trust(['--root', '--skip-fingerprint-review', file('k.asc')])
  assert.equal(status, 254)
  assert.match(stderr, /trust: error adding keys: open \S+\/root\.d\/[\da-f]{40}: (not a directory|file exists)\n/)
})
