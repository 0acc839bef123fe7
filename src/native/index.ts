/**
 * The typed face of the Rust addon, and the few things of the system that stand directly on it: locks, the text of system errors,
 * the caller's environment, and becoming another program. Rests on the addon (`dist/rkt.node`) and errors.ts. Knows nothing of
 * images, stores or pods.
 */
export {become} from './become.ts'
export {callerEnvironment} from './caller.ts'
export type {
  BecomeRequest,
  FlatLayer,
  IdRange,
  Ingested,
  IngestedLayer,
  LayerRequest,
  LayerSink,
  LockMode,
  NativeAddon,
  NativeFailure,
  Outcome,
  OverlayMount,
  PodProcess,
  RenderedLayer,
  RenderRequest,
  RenderSource,
  TreeStats,
  Xattr,
} from './contract.ts'
export {FileLock, type LockOptions, type WaitOptions} from './file-lock.ts'
export {flush} from './flush.ts'
export {takeListenFds} from './listen-fds.ts'
export {failureError, isFailure, native, unwrap} from './load.ts'
export {type ProcessEnd, ProcessEnds} from './process-ends.ts'
export {SystemError, systemError} from './system-error.ts'
