/** What is asked for when a pod is prepared and run: plain values, checked by whoever read the words. */

import type {AcIdentifier, ExposedPort, ImageManifest, Mount, Volume} from '../appc/index.ts'
import type {ImageKey} from '../store/index.ts'

/** What the words behind an image change in its app. */
export interface AppOverrides {
  readonly name?: string | undefined
  /** Replaces the image's program and its arguments. */
  readonly exec?: string | undefined
  /** Added behind the program and its arguments. */
  readonly args: readonly string[]
  readonly workingDirectory?: string | undefined
  readonly readOnlyRootfs?: boolean | undefined
  readonly mounts: readonly Mount[]
  readonly user?: string | undefined
  readonly group?: string | undefined
  readonly supplementaryGids?: readonly number[] | undefined
  readonly annotations: ReadonlyMap<AcIdentifier, string>
  readonly userAnnotations: ReadonlyMap<string, string>
  readonly userLabels: ReadonlyMap<string, string>
  readonly environment: ReadonlyMap<string, string>
  /** Quantities, as they were typed. */
  readonly memory?: string | undefined
  readonly cpu?: string | undefined
  readonly cpuShares?: number | undefined
  readonly capsRetain?: readonly string[] | undefined
  readonly capsRemove?: readonly string[] | undefined
  /** The text of `--seccomp`. */
  readonly seccomp?: string | undefined
  readonly oomScoreAdj?: number | undefined
  readonly stdin?: string | undefined
  readonly stdout?: string | undefined
  readonly stderr?: string | undefined
}

/** One app to be: its image, found, and what the command line changes in it. */
export interface AppRequest {
  readonly image: ImageKey
  readonly manifest: ImageManifest
  readonly overrides: AppOverrides
}

/** Variables that the command line gives to every app, weakest first. */
export interface EnvironmentRequest {
  /** The caller's, for names that the app does not define; undefined when they are not to be inherited. */
  readonly inherited?: Readonly<Record<string, string>> | undefined
  readonly files: ReadonlyMap<string, string>
  readonly set: ReadonlyMap<string, string>
}

export interface ManifestRequest {
  readonly apps: readonly AppRequest[]
  readonly volumes: readonly Volume[]
  /** Mounts for every app. */
  readonly mounts: readonly Mount[]
  readonly ports: readonly ExposedPort[]
  readonly environment: EnvironmentRequest
  /** Who asks: the identity of an app whose image names none. */
  readonly caller: {readonly uid: number; readonly gid: number}
  readonly version: string
}
