import type {Config, InsecureOptions} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import type {Store} from '../store/index.ts'
import type {Treestore} from '../treestore/index.ts'
import type {Pods} from './pods.ts'

/** What the use cases over pods need of the engine. */
export interface PodEngine {
  readonly config: Config
  readonly dataDir: string
  readonly diagnostics: Diagnostics
  readonly options: {readonly debug: boolean; readonly insecure: InsecureOptions; readonly localConfig: string}
  readonly pods: Pods
  readonly store: Store
  readonly treestore: Treestore
}
