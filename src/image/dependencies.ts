import {formatImageString, type ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {ImageKey, ImportOptions} from '../store/index.ts'
import {renderList} from '../treestore/index.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {say} from './say.ts'

/** Everything that an image depends on must be in the store, and no image may depend on itself. */
export function checkDependencies(
  {diagnostics, store}: Pick<ImagePorts, 'diagnostics' | 'store'>,
  key: ImageKey,
  manifest: ImageManifest,
): void {
  const [, ...dependencies] = renderList(store, key, manifest)
  for (const dependency of new Set(dependencies.map((entry) => entry.key))) {
    say(diagnostics, `using image from local store for image name ${formatImageString(store.info(dependency))}`)
    store.touch(dependency)
  }
}

/** An archive that cannot become an image of the store; `message` names it. */
export class ImportError extends RktError {
  constructor(source: string, cause: unknown) {
    super(cause instanceof RktError ? cause.code : 'RKT_IMPORT_FAILED', `cannot import ${source}`, {
      cause,
      ...(cause instanceof RktError && {exitCode: cause.exitCode, hint: cause.hint}),
    })
  }
}

/** Imports from a descriptor; an image whose dependencies are missing is refused before it is visible. */
export async function importFrom(
  ports: Pick<ImagePorts, 'diagnostics' | 'store'>,
  fd: number,
  source: string,
  {dependencies}: Pick<FindImageOptions, 'dependencies'>,
): Promise<ImageKey> {
  const options: ImportOptions = {latest: false, source}
  try {
    if (!dependencies) return await ports.store.importAci(fd, options)
    return await ports.store.importAci(fd, {...options, accept: (manifest, key) => checkDependencies(ports, key, manifest)})
  } catch (cause) {
    throw new ImportError(source, cause)
  }
}
