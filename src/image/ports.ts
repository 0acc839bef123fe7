import type {Config, InsecureOptions} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import type {Store} from '../store/index.ts'
import type {Treestore} from '../treestore/index.ts'
import type {ProgressOutput} from './progress.ts'

/** The slice of the engine that finding images uses. */
export interface ImagePorts {
  /** Without `dockerAuth`, registries are asked with what other programs configured alone. */
  readonly config: Pick<Config, 'auth'> & Partial<Pick<Config, 'dockerAuth'>>
  readonly diagnostics: Diagnostics
  readonly options: {
    /** Whose `trustedkeys` say which keys vouch for which names. */
    readonly localConfig: string
    readonly systemConfig: string
    readonly trustKeysFromHttps: boolean
  }
  readonly store: Store
  readonly treestore: Treestore
  /** Other than the caller's environment and the ports of the protocols: a network of one's own. */
  readonly network?: {
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly discoveryPort?: number
  }
}

/** `new` looks into the store first, `update` asks the remote, `never` does not ask it at all. */
export type PullPolicy = 'new' | 'never' | 'update'

export interface FindImageOptions {
  readonly pullPolicy: PullPolicy
  readonly insecure: InsecureOptions
  /** A local signature file, instead of the one beside the archive. */
  readonly signature?: string | undefined
  /** What the image depends on is found too, by its name. */
  readonly dependencies: boolean
  /** Renders the image into the treestore, where that serves: for root, on a file system that can be overlaid. */
  readonly render: boolean
  /** Where transfers are shown; nowhere when it is absent. */
  readonly progress?: ProgressOutput | undefined
  /** A line of standard output: what is said of keys while they are reviewed. */
  readonly print?: (line: string) => void
}
