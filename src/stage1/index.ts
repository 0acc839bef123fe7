/**
 * stage1 as stage0 knows it: which image isolates a pod, which of its executables is which entrypoint, and the words that each is
 * called with. Rests on image (to find one that the user names), treestore, store and native. Knows nothing of pod directories.
 */
export {
  type Arguments,
  type AttachChoice,
  attachArguments,
  enterArguments,
  gcArguments,
  type RunOptions,
  runArguments,
  stopArguments,
} from './arguments.ts'
export {callEntrypoint, type EntrypointCall, type EntrypointEnd, runEntrypoint} from './call.ts'
export {type Crossing, crossingEnvironment} from './crossing.ts'
export {
  type Entrypoint,
  type EntrypointName,
  entrypointAnnotation,
  entrypointPath,
  findEntrypoint,
  interfaceVersion,
  mutableEntrypoints,
} from './entrypoints.ts'
export {checkPropagation} from './propagation.ts'
export {type Stage1Choice, type Stage1Ports, selectStage1} from './select.ts'
