import {EngineCommand, Flags, RktError, registryPrefix, UsageError} from '@rkt/engine'
import {type TrustRequest, trustKeys} from '../trust-keys.ts'

const unbounded = `aborting due to implicit unbounded trust (root domain)
Please provide a specific domain prefix to trust:
    rkt trust --prefix "example.com/foo" [PUBKEY]
    rkt trust --prefix "example.com/foo/*" [PUBKEY]
Otherwise, trust at the root domain (not recommended) must be explicitly requested:
    rkt trust --root PUBKEY`

export default class Trust extends EngineCommand {
  static override description =
    `Keys are files or https URLs; without any, they are looked for where the publisher of PREFIX says that they lie.
Each is shown and trusted when its fingerprint was confirmed: for the image names below PREFIX, or with --root for all.
With --sigstore-key, PUBKEY is a public key of sigstore (cosign) in PEM, and counts for images of registries.`
  static override flags = {
    'insecure-allow-http': Flags.boolean({description: 'allow http for key discovery and downloads'}),
    prefix: Flags.string({default: '', description: 'prefix of the image names that the keys are trusted for'}),
    root: Flags.boolean({description: 'trust the keys for all image names'}),
    'sigstore-key': Flags.boolean({description: 'add public keys of sigstore (cosign) instead of gpg keys'}),
    'skip-fingerprint-review': Flags.boolean({description: 'accept keys without confirmation of their fingerprints'}),
  }
  static override strict = false
  static override summary = 'Trust a key for image verification'
  static override usage = '[--prefix=PREFIX] [--root] [PUBKEY...]'

  async run(): Promise<void> {
    const {argv: locations, flags} = await this.parse(Trust)
    const {prefix, root} = flags
    if (prefix === '' && !root) {
      if (locations.length === 0) throw new UsageError()
      throw new RktError('RKT_BAD_ARGUMENTS', unbounded)
    }
    if (prefix !== '' && root) throw new RktError('RKT_BAD_ARGUMENTS', '--root and --prefix usage mutually exclusive')
    if (this.globals.insecure.image)
      throw new RktError('RKT_KEYSTORE_DISABLED', 'could not get the keystore', {hint: 'Leave out --insecure-options=image.'})
    const named = flags['sigstore-key'] ? registryPrefix(prefix) : prefix
    if (named !== prefix) this.note(`the images of ${prefix} are called ${named}, for which the key will be trusted`)
    checkPrefix(named)
    if (flags['sigstore-key'] && locations.length === 0) throw new UsageError('--sigstore-key needs a PUBKEY')
    const request: TrustRequest = {
      allowHttp: flags['insecure-allow-http'],
      kind: flags['sigstore-key'] ? 'sigstore' : 'openpgp',
      locations,
      prefix: root ? null : named,
      print: (line) => this.print(line),
      skipFingerprintReview: flags['skip-fingerprint-review'],
    }
    await using engine = await this.openEngine()
    await trustKeys(engine, request)
  }
}

function checkPrefix(prefix: string): void {
  if (prefix.endsWith('/*')) {
    const hint = `Use --prefix=${prefix.slice(0, -2)}, which counts for every name that begins so.`
    throw new RktError('RKT_BAD_PREFIX', `--prefix ${JSON.stringify(prefix)} is no beginning of a name`, {hint})
  }
  const [, scheme, rest = ''] = /^([a-z][a-z\d+.-]*):(.*)$/is.exec(prefix) ?? []
  if (scheme === undefined) return
  if (/^\d{1,5}(?:\/|$)/.test(rest)) {
    throw new RktError('RKT_BAD_ARGUMENTS', `--prefix ${JSON.stringify(prefix)} holds a port, which no name of an image does`, {
      hint: 'Images of a registry are signed with keys of sigstore: use --sigstore-key, which takes HOST:PORT.',
    })
  }
  throw new RktError('RKT_BAD_ARGUMENTS', `--prefix must not contain a URL scheme, omit ${scheme}://`)
}
