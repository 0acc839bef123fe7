/**
 * Pods: the pod directory as a state machine, and what is done to pods: prepare, run, wait, enter, stop, collect, export, report.
 * Rests on stage1 and image, the stores and the addon. Knows nothing of the command line.
 */
export {type Instant, type NetworkInfo, PodContents, toDate} from './contents.ts'
export {type DnsOptions, type NameConfig, nameConfig} from './dns.ts'
export type {PodEngine} from './engine-slice.ts'
export {enterPod} from './enter.ts'
export {addVariable, addVariablesFromFile} from './environment.ts'
export {exportApp} from './export.ts'
export {collectGarbage, deletePod, type GcOptions, type GcReport, withCause} from './garbage.ts'
export {HeldPod} from './held-pod.ts'
export {generatePodManifest} from './manifest.ts'
export {checkMounts} from './mounts.ts'
export {parseNetworks} from './networks.ts'
export {isInState, Pods, type Pod} from './pods.ts'
export {prepareLock} from './prepare-lock.ts'
export {formatNetworks, type PodReport, reportPod} from './report.ts'
export type {AppOverrides, AppRequest, EnvironmentRequest, ManifestRequest} from './request.ts'
export {hasManifest, isAfterRun, isFinished, nameableDirectories, type PodDirectory, type PodState, podDirectories} from './state.ts'
export {stopPod} from './stop.ts'
export {treesInUse} from './trees.ts'
export {isPodUuid, type PodUuid} from './uuid.ts'
export {waitUntilFinished, waitUntilReady} from './wait.ts'
