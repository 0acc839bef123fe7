/**
 * The files of testdata/cosign are cosign's own: cosign 2.6.5 signed the image in a registry with each of four keys, with and without
 * --new-bundle-format, attested it, and signed its manifest as a blob. The private keys are not kept; where a test needs another
 * signature, openssl's library makes it in the same form.
 */
import assert from 'node:assert/strict'
import {createHash, generateKeyPairSync, type KeyObject, sign} from 'node:crypto'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {after, beforeEach, describe, test} from 'node:test'
import {parseAcIdentifier} from '../appc/index.ts'
import {verifySigstore} from './sigstore.ts'
import {readBundle, type SigstoreSignature, signatureBlobs} from './sigstore-documents.ts'
import {readSigstoreKey} from './sigstore-key.ts'
import {openSigstoreKeystore} from './sigstore-keystore.ts'
import {gatherSignatures, type SignatureSource} from './sigstore-source.ts'

const directory = join(import.meta.dirname, 'testdata/cosign')
const file = (name: string) => readFileSync(join(directory, name))
const blob = (name: string) => file(`${name}.blob`)
const manifest = blob('image-manifest')
const name = '127.0.0.1_5099/coreos/etcd'
const dockerReference = '127.0.0.1:5099/coreos/etcd:1.0'
const sha256 = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const
const digest = sha256(manifest)

const keyOf = (kind: string) => readSigstoreKey(file(`${kind}.pub`), 'key')

async function verify(
  signatures: readonly SigstoreSignature[],
  kind: string,
  question: {dockerReference?: string; manifest?: Buffer} = {},
) {
  return await verifySigstore({dockerReference, keys: [await keyOf(kind)], manifest, name, signatures, ...question})
}

const tagged = (): SigstoreSignature[] =>
  signatureBlobs(blob('sig-manifest')).flatMap((layer) =>
    layer.kind === 'simple-signing' ? [{kind: layer.kind, payload: blob('payload'), signature: layer.signature}] : [],
  )

/** A key of ours, and signatures by it. */
async function ourSigner() {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'})
  const key = await readSigstoreKey(Buffer.from(publicKey.export({format: 'pem', type: 'spki'})), 'key')
  return {key, privateKey}
}

function simpleSigning(privateKey: KeyObject, critical: unknown): SigstoreSignature {
  const payload = Buffer.from(JSON.stringify({critical, optional: null}))
  return {kind: 'simple-signing', payload, signature: sign('sha256', payload, privateKey).toString('base64')}
}

const critical = (reference: string, image = digest, type = 'cosign container image signature') => ({
  identity: {'docker-reference': reference},
  image: {'docker-manifest-digest': image},
  type,
})

describe('a signature by cosign', () => {
  for (const kind of ['p256', 'p384', 'ed25519', 'rsa']) {
    test(`with a key of kind ${kind} is good for the image`, async () => {
      const {fingerprint, signedReference} = await verify(tagged(), kind)
      assert.equal(fingerprint, (await keyOf(kind)).fingerprint)
      assert.equal(signedReference, '127.0.0.1:5099/coreos/etcd')
    })
  }

  for (const kind of ['p256', 'p384', 'ed25519']) {
    test(`in a bundle, with a key of kind ${kind}, is good for the image`, async () => {
      assert.ok(await verify([readBundle(blob(`bundle-${kind}`))], kind))
    })
  }

  for (const kind of ['p256', 'p384']) {
    test(`over the manifest as a blob, with a key of kind ${kind}, is good for the image`, async () => {
      assert.ok(await verify([readBundle(blob(`message-${kind}`))], kind))
    })
  }

  test('of something else than the image (an attestation) is none, though the same key made it', async () => {
    await assert.rejects(verify([readBundle(blob('bundle-attestation-p256'))], 'p256'), (error: Error & {code: string}) => {
      assert.equal(error.code, 'RKT_SIGSTORE_INVALID')
      assert.match(
        String((error.cause as Error).message),
        /the statement is no signature but "https:\/\/cosign\.sigstore\.dev\/attestation\/v1"/,
      )
      return true
    })
  })

  test('for another image is refused in every form', async () => {
    const other = Buffer.from(manifest.toString().replace('1024', '1025'))
    const forms = [tagged(), [readBundle(blob('bundle-p256'))]]
    for (const form of forms) await assert.rejects(verify(form, 'p256', {manifest: other}), {code: 'RKT_SIGSTORE_INVALID'})
    await assert.rejects(verify([readBundle(blob('message-p256'))], 'p256', {manifest: other}), {code: 'RKT_SIGSTORE_UNKNOWN_KEY'})
  })

  test('by a key that nobody trusts is refused', async () => {
    const {key} = await ourSigner()
    await assert.rejects(verifySigstore({dockerReference, keys: [key], manifest, name, signatures: tagged()}), {
      code: 'RKT_SIGSTORE_UNKNOWN_KEY',
    })
  })

  test('with one bit changed, in the signature or in what it signs, is by nobody', async () => {
    const [signature] = tagged().filter((_, at) => at === 0)
    assert.ok(signature?.kind === 'simple-signing')
    const bytes = Buffer.from(signature.signature, 'base64')
    bytes[20] = (bytes[20] ?? 0) ^ 1
    const payload = Buffer.from(signature.payload)
    payload[30] = (payload[30] ?? 0) ^ 1
    for (const changed of [
      {...signature, signature: bytes.toString('base64')},
      {...signature, payload},
    ]) {
      await assert.rejects(verify([changed], 'p256'), {code: 'RKT_SIGSTORE_UNKNOWN_KEY'})
    }
  })
})

describe('the reference in a signature', () => {
  const accepted: readonly (readonly [signed: string, wanted: string])[] = [
    ['quay.io/coreos/etcd', 'quay.io/coreos/etcd:v3'],
    ['quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3'],
    ['quay.io/coreos/etcd:v3', `quay.io/coreos/etcd@${digest}`],
    ['index.docker.io/library/busybox', 'registry-1.docker.io/library/busybox:latest'],
    ['busybox', 'docker.io/library/busybox:latest'],
    ['localhost:5000/a', 'localhost:5000/a:1'],
  ]
  for (const [signed, wanted] of accepted) {
    test(`${signed} counts for ${wanted}`, async () => {
      const {key, privateKey} = await ourSigner()
      const signatures = [simpleSigning(privateKey, critical(signed))]
      assert.ok(await verifySigstore({dockerReference: wanted, keys: [key], manifest, name, signatures}))
    })
  }

  const refused: readonly (readonly [signed: string, wanted: string])[] = [
    ['quay.io/coreos/etcd', 'quay.io/coreos/flannel:v3'],
    ['quay.io/coreos/etcd:v2', 'quay.io/coreos/etcd:v3'],
    ['quay.io/coreos/etcd', 'mirror.example.com/coreos/etcd:v3'],
    ['localhost:5000/a', 'localhost:5001/a'],
    ['', 'quay.io/coreos/etcd'],
  ]
  for (const [signed, wanted] of refused) {
    test(`${signed || '(empty)'} does not count for ${wanted}`, async () => {
      const {key, privateKey} = await ourSigner()
      const signatures = [simpleSigning(privateKey, critical(signed))]
      await assert.rejects(verifySigstore({dockerReference: wanted, keys: [key], manifest, name, signatures}), {
        code: 'RKT_SIGSTORE_INVALID',
      })
    })
  }
})

describe('a signed document', () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ['of another type', critical(dockerReference, digest, 'atomic container signature')],
    ['without a digest', {identity: {'docker-reference': dockerReference}, type: 'cosign container image signature'}],
    ['that is a list', []],
    ['that is null', null],
    ['with a digest in another place', {...critical(dockerReference), image: {digest}}],
  ]
  for (const [what, content] of wrong) {
    test(`${what} is refused, though a trusted key signed it`, async () => {
      const {key, privateKey} = await ourSigner()
      const signatures = [simpleSigning(privateKey, content)]
      await assert.rejects(verifySigstore({dockerReference, keys: [key], manifest, name, signatures}), {code: 'RKT_SIGSTORE_INVALID'})
    })
  }

  test('that is refused does not hide a good one behind it', async () => {
    const {key, privateKey} = await ourSigner()
    const signatures = [simpleSigning(privateKey, []), simpleSigning(privateKey, critical(dockerReference))]
    assert.ok(await verifySigstore({dockerReference, keys: [key], manifest, name, signatures}))
  })
})

test('without a trusted key the refusal names the two ways there are', async () => {
  await assert.rejects(verifySigstore({dockerReference, keys: [], manifest, name: 'quay.io/coreos/etcd', signatures: tagged()}), {
    code: 'RKT_SIGSTORE_NO_KEY',
    hint: 'Trust the key that signs it (rkt trust --sigstore-key --prefix quay.io/coreos/etcd KEYFILE), or use --insecure-options=image.',
    message: 'no key is trusted for image "quay.io/coreos/etcd"',
  })
})

test('an image without signatures is refused', async () => {
  await assert.rejects(verify([], 'p256'), {code: 'RKT_SIGSTORE_NO_SIGNATURE'})
})

describe('signatures in a registry', () => {
  const referrers = ['referrer-ed25519', 'referrer-attestation-p256', 'referrer-p256', 'referrer-p384'].map(blob)
  const blobs = new Map(
    ['payload', 'bundle-ed25519', 'bundle-attestation-p256', 'bundle-p256', 'bundle-p384'].map((file) => [sha256(blob(file)), blob(file)]),
  )
  const empty = 'application/vnd.oci.empty.v1+json'
  const source = (manifests: readonly Buffer[], {artifactType = empty, sig = null as Buffer | null} = {}): SignatureSource => ({
    document: async ({digest}) => ({bytes: manifests.find((bytes) => sha256(bytes) === digest) ?? Buffer.alloc(0)}),
    referrers: async () =>
      manifests.map((bytes) => ({annotations: {}, artifactType, digest: sha256(bytes), mediaType: '', size: bytes.length, urls: []})),
    signatures: async () => (sig === null ? null : {bytes: sig}),
    smallBlob: async ({digest}) => blobs.get(digest as `sha256:${string}`) ?? Buffer.from('{}'),
  })

  test('are found under the tag of cosign and among what refers to the image', async () => {
    const found = await gatherSignatures(source(referrers, {sig: blob('sig-manifest')}), digest)
    assert.deepEqual(
      found.map(({kind}) => kind),
      [...Array(4).fill('simple-signing'), ...Array(4).fill('dsse')],
    )
    for (const kind of ['p256', 'p384', 'ed25519', 'rsa']) assert.ok(await verify(found, kind))
  })

  test('are not looked for in what says that it is something else', async () => {
    assert.deepEqual(await gatherSignatures(source(referrers, {artifactType: 'application/spdx+json'}), digest), [])
  })

  test('are found beside nonsense', async () => {
    const nonsense = [
      Buffer.from('{'),
      Buffer.from('null'),
      Buffer.from('{"layers": 7}'),
      Buffer.from('{"layers": [null, 7, {"digest": 1}]}'),
    ]
    const found = await gatherSignatures(source([...nonsense, ...referrers]), digest)
    assert.equal(found.length, 4)
  })

  test('are at most so many', async () => {
    const [layer] = (JSON.parse(blob('sig-manifest').toString()) as {layers: unknown[]}).layers
    const sig = Buffer.from(JSON.stringify({layers: Array(5000).fill(layer)}))
    assert.equal((await gatherSignatures(source(Array(100).fill(referrers[0]), {sig}), digest)).length, 32)
  })
})

describe('a sigstore key file', () => {
  const pem = (key: KeyObject, type: 'pkcs8' | 'spki') => Buffer.from(key.export({format: 'pem', type}))

  test('with a private key is refused, and says so', async () => {
    const {privateKey} = generateKeyPairSync('ed25519')
    await assert.rejects(readSigstoreKey(pem(privateKey, 'pkcs8'), 'error displaying the key k'), (error: Error) => {
      assert.match(String((error.cause as Error).message), /private key, which must stay with its owner/)
      return true
    })
  })

  test('with a weak key, another kind of key, two keys, or none is refused', async () => {
    const weak = generateKeyPairSync('rsa', {modulusLength: 1024}).publicKey
    const bitcoin = generateKeyPairSync('ec', {namedCurve: 'secp256k1'}).publicKey
    const agreement = generateKeyPairSync('x25519').publicKey
    const good = file('p256.pub')
    const files = [
      ...[weak, bitcoin, agreement].map((key) => pem(key, 'spki')),
      Buffer.concat([good, good]),
      Buffer.from('x'),
      Buffer.alloc(0),
    ]
    files.push(Buffer.from('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'))
    for (const bytes of files) await assert.rejects(readSigstoreKey(bytes, 'key'), {code: 'RKT_KEY_UNREADABLE', message: 'key'})
  })
})

describe('the keystore of sigstore keys', () => {
  const home = mkdtempSync(join(tmpdir(), 'rkt-sigstore-'))
  let directories: {local: string; system: string}
  after(() => rmSync(home, {recursive: true}))
  beforeEach(() => {
    const base = mkdtempSync(join(home, 'store-'))
    directories = {local: join(base, 'local'), system: join(base, 'system')}
  })
  const trusted = async (image: string) =>
    (await openSigstoreKeystore(directories).keysFor(parseAcIdentifier(image))).map(({algorithm}) => algorithm)

  test('trusts a key for its prefix and what lies below it, by whole elements', async () => {
    const [stored] = await openSigstoreKeystore(directories).add('quay.io/coreos', file('p256.pub'))

    assert.equal(stored?.path, join(directories.local, 'trustedkeys/sigstore-prefix.d/quay.io/coreos', `${stored?.fingerprint}.pem`))
    assert.deepEqual(await trusted('quay.io/coreos'), ['ECDSA P-256'])
    assert.deepEqual(await trusted('quay.io/coreos/etcd'), ['ECDSA P-256'])
    assert.deepEqual(await trusted('quay.io/coreos-fan/etcd'), [])
    assert.deepEqual(await trusted('quay.io/other'), [])
  })

  test('trusts a root key for every name, until an empty local file masks it', async () => {
    const system = openSigstoreKeystore({local: directories.system, system: directories.system})
    const [stored] = await system.add(null, file('rsa.pub'))
    assert.deepEqual(await trusted('example.com/x'), ['RSA 3072'])

    const mask = join(directories.local, 'trustedkeys/sigstore-root.d', `${stored?.fingerprint}.pem`)
    mkdirSync(dirname(mask), {recursive: true})
    writeFileSync(mask, '')
    assert.deepEqual(await trusted('example.com/x'), [])
  })

  test('keeps out of the directories of OpenPGP keys', async () => {
    await openSigstoreKeystore(directories).add(null, file('p256.pub'))
    await openSigstoreKeystore(directories).add('a.com/b', file('p256.pub'))
    assert.deepEqual(readdirSync(join(directories.local, 'trustedkeys')), ['sigstore-prefix.d', 'sigstore-root.d'])
  })

  test('refuses everything when a file is not the key that its name says', async () => {
    const [stored] = await openSigstoreKeystore(directories).add(null, file('p256.pub'))
    writeFileSync(stored?.path ?? '', file('rsa.pub'))
    await assert.rejects(trusted('a.com/b'), {code: 'RKT_KEYRING_UNREADABLE'})
  })
})
