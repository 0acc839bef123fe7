import type {ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {NamedImage} from '../store/index.ts'
import {type DistributionPoint, formatDistributionPoint} from './distribution.ts'
import type {Session} from './session.ts'
import {Verification} from './verification.ts'

/** An archive that cannot become an image of the store; `message` names it. */
export class ImportError extends RktError {
  constructor(source: string, cause: unknown) {
    super(cause instanceof RktError ? cause.code : 'RKT_IMPORT_FAILED', `cannot import ${source}`, {
      cause,
      ...(cause instanceof RktError && {exitCode: cause.exitCode, hint: cause.hint}),
    })
  }
}

export interface Archive {
  /** The archive from its start; the file does not change any more. */
  readonly fd: number
  /** How messages call it. */
  readonly shown: string
  readonly latest: boolean
  readonly source: DistributionPoint
  /** The detached signature; undefined when signatures do not count. */
  readonly signature: Uint8Array | undefined
  /** What else the image has to fulfil before its signature is judged. */
  readonly check?: (manifest: ImageManifest) => void
}

/** Imports an archive. The image does not become visible before it is verified. */
export async function importArchive(session: Session, archive: Archive): Promise<NamedImage> {
  const {check, fd, latest, shown, signature, source} = archive
  const verification = signature === undefined ? undefined : await Verification.begin(session, fd, signature)
  let refusal: unknown
  try {
    const point = formatDistributionPoint(source)
    const stored = await session.ports.store.importAci(fd, {
      async accept(manifest, key) {
        if (!session.ports.store.has(key)) session.imported.add(key)
        try {
          check?.(manifest)
          await verification?.accept(manifest)
        } catch (error) {
          refusal = error
          throw error
        }
      },
      latest,
      origin: shown,
      source: point,
    })
    return {key: stored, source: point}
  } catch (cause) {
    // a refusal names the image itself
    throw cause === refusal ? cause : new ImportError(shown, cause)
  } finally {
    await verification?.settled()
  }
}
