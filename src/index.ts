/**
 * The public API of rkt: all that a plugin may import, under the name `@rkt/engine`. What is exported here keeps its meaning.
 */

export {
  AC_VERSION,
  type AcIdentifier,
  type ExposedPort,
  type ImageManifest,
  labelValue,
  type PodManifest,
  parseAcIdentifier,
  parseAcName,
  parseImageManifest,
  parseImageString,
  parseMountVolume,
} from './appc/index.ts'
export {
  type ArgInput,
  Args,
  absoluteTime,
  EngineCommand,
  type Flag,
  type FlagInput,
  Flags,
  formatDuration,
  formatTable,
  type GlobalOptions,
  humanSize,
  type ImageArgument,
  packageVersion,
  parseDuration,
  relativeTime,
  UsageError,
} from './cli/index.ts'
export {discoverKeyLocations} from './discovery/index.ts'
export type {Engine, EngineOptions} from './engine/index.ts'
export {causeChain, type ErrorCode, RktError} from './errors.ts'
export {openHttp} from './http/index.ts'
export {
  type BuildOptions,
  buildImage,
  type CopyOptions,
  type ExportOptions,
  exportImage,
  extractImage,
  findImage,
  manifestOfFile,
  renderImage,
  resolveStoredImage,
  resolveStoredName,
} from './image/index.ts'
export {ProcessEnds, takeListenFds} from './native/index.ts'
export {registryPrefix} from './oci/index.ts'
export {
  appOverrides,
  checkPortNetworks,
  checkRegistration,
  chooseApp,
  environmentRequest,
  imageFlags,
  networkFlags,
  networksOf,
  preparationFlags,
  runOptions,
  stage1Choice,
  stage1Flags,
} from './options/index.ts'
export {
  addApp,
  checkMounts,
  DirectoryChanges,
  enterPod,
  generatePodManifest,
  hasCreationTime,
  imagesInUse,
  isAfterRun,
  isInState,
  isPodUuid,
  type LogLine,
  logDirectory,
  movedAt,
  nameableDirectories,
  ofOwnVolumes,
  ownVolumes,
  type Pod,
  PodContents,
  PodLog,
  type PodState,
  type PodUuid,
  podCgroup,
  podDirectories,
  prepareLock,
  readyPod,
  removeApp,
  reportApps,
  runSandbox,
  startApp,
  stopApp,
  toDate,
  treesInUse,
} from './pod/index.ts'
export type {ImageInfo, ImageKey, NamedImage, OciRecord, StoredName} from './store/index.ts'
export type {TreeId} from './treestore/index.ts'
export {addKeys, locateKeys, openKeystore, openpgpKeys, openSigstoreKeystore, sigstoreKeys} from './trust/index.ts'
