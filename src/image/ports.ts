import type {Config, InsecureOptions} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import type {Store} from '../store/index.ts'
import type {Treestore} from '../treestore/index.ts'
import type {ProgressOutput} from './progress.ts'

/** The slice of the engine that finding images uses. */
export interface ImagePorts {
  readonly config: Pick<Config, 'auth'>
  readonly diagnostics: Diagnostics
  readonly store: Store
  readonly treestore: Treestore
}

/** `new` looks into the store first, `update` asks the remote, `never` does not ask it at all. */
export type PullPolicy = 'new' | 'never' | 'update'

export interface FindImageOptions {
  readonly pullPolicy: PullPolicy
  readonly insecure: InsecureOptions
  /** A local signature file, instead of the one beside the archive. */
  readonly signature?: string | undefined
  /** What the image depends on must be there too. */
  readonly dependencies: boolean
  /** Renders the image into the treestore, where that serves: for root, on a file system that can be overlaid. */
  readonly render: boolean
  readonly progress?: ProgressOutput | undefined
}
