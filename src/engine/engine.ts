import {realpathSync} from 'node:fs'
import {resolve} from 'node:path'
import type {Config, InsecureOptions} from '../config/index.ts'
import {loadConfig} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import {explain, type PodEngine, Pods} from '../pod/index.ts'
import {defaultDirectories, scope} from '../privileges.ts'
import {openStore, type Store} from '../store/index.ts'
import {openTreestore, type Treestore} from '../treestore/index.ts'

export interface EngineOptions {
  /** Only when the user named it; configuration and default decide otherwise. */
  readonly dataDir?: string
  readonly systemConfig: string
  readonly localConfig: string
  readonly userConfig?: string
  readonly debug: boolean
  readonly insecure: InsecureOptions
  readonly trustKeysFromHttps: boolean
  readonly diagnostics: Diagnostics
}

export interface Engine extends AsyncDisposable, PodEngine {
  readonly options: EngineOptions
}

/** The engine over the data directory that options and configuration name. Nothing is opened or made by it. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  return new LazyEngine(options)
}

class LazyEngine implements Engine {
  readonly options: EngineOptions
  #config: Config | undefined
  #dataDir: string | undefined
  #pods: Pods | undefined
  #store: Store | undefined
  #treestore: Treestore | undefined

  constructor(options: EngineOptions) {
    this.options = options
  }

  get config(): Config {
    if (!this.#config) {
      const {localConfig, systemConfig, userConfig} = this.options
      this.#config = orExplained('cannot get configuration', () => loadConfig({local: localConfig, system: systemConfig, user: userConfig}))
    }
    return this.#config
  }

  get dataDir(): string {
    this.#dataDir ??= realPath(this.options.dataDir ?? this.#configuredDataDir() ?? defaultDirectories().data)
    return this.#dataDir
  }

  /** The system's configuration says where the system's data lies, not an ordinary user's. */
  #configuredDataDir(): string | undefined {
    if (scope() === 'system') return this.config.paths.data
    const {localConfig, userConfig} = this.options
    return orExplained('cannot get configuration', () => loadConfig({local: localConfig, user: userConfig})).paths.data
  }

  get diagnostics(): Diagnostics {
    return this.options.diagnostics
  }

  get pods(): Pods {
    this.#pods ??= new Pods(this.dataDir, this.diagnostics)
    return this.#pods
  }

  get store(): Store {
    this.#store ??= orExplained('cannot open store', () => openStore(resolve(this.dataDir, 'cas')))
    return this.#store
  }

  get treestore(): Treestore {
    this.#treestore ??= openTreestore(resolve(this.dataDir, 'cas'), this.store)
    return this.#treestore
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#store?.[Symbol.dispose]()
    this.#store = undefined
  }
}

function orExplained<T>(message: string, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    throw explain(message, cause)
  }
}

/** Links on the way are resolved, or mounts and locks would be looked for elsewhere than they are. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    // It does not exist yet, which whoever needs it will say.
    return resolve(path)
  }
}
