/**
 * Pods: the pod directory as a state machine, and what is done to pods: prepare, run, wait, enter, stop, collect, export, report.
 * Rests on stage1 and image, the stores and the addon. Knows nothing of the command line.
 */

export {reportApps} from './app-report.ts'
export {type AttachMode, type AttachTarget, attachEndpoints, attachToApp, listEndpoints, parseAttachMode} from './attach.ts'
export {podCgroup} from './cgroup.ts'
export {type Instant, type NetworkInfo, PodContents, toDate} from './contents.ts'
export {type DnsOptions, type NameConfig, nameConfig} from './dns.ts'
export type {PodEngine} from './engine-slice.ts'
export {enterPod} from './enter.ts'
export {parseVariable, readVariables, type Variable} from './environment.ts'
export {explain} from './explain.ts'
export {exportApp} from './export.ts'
export {collectGarbage, deletePod, type GcOptions, type GcReport, toGarbage, withCause} from './garbage.ts'
export {HeldPod} from './held-pod.ts'
export {loggedApps} from './logs/app-log.ts'
export {DirectoryChanges} from './logs/directory-changes.ts'
export type {LogLine} from './logs/log-line.ts'
export {logDirectory, PodLog} from './logs/pod-log.ts'
export {type LogOptions, readLogs} from './logs/read-logs.ts'
export {generatePodManifest, isMutable, type SandboxRequest, sandboxManifest} from './manifest.ts'
export {checkManifestFile, imagesOf, type ManifestFile, readManifestFile} from './manifest-file.ts'
export {checkMounts, ofOwnVolumes, ownVolumes} from './mounts.ts'
export {addApp, readyPod, removeApp, startApp, stopApp} from './mutable.ts'
export {parseNetworks} from './networks.ts'
export {notRunning} from './not-running.ts'
export {idMapProblem, overlayProblem} from './overlay-support.ts'
export {podFiles} from './paths.ts'
export {isInState, movedAt, type Pod, Pods} from './pods.ts'
export {type FoundImage, finishPrepare, type ManifestSource, orRemoved, type PrepareRequest, preparePod} from './prepare.ts'
export {prepareLock} from './prepare-lock.ts'
export {type PreparedPod, readPreparedPod} from './prepared-pod.ts'
export {metadataSocket, requireMetadataService} from './registration.ts'
export {formatNetworks, type PodReport, reportPod} from './report.ts'
export type {AppOverrides, AppRequest, EnvironmentRequest, ManifestRequest} from './request.ts'
export {becomePod, type RunOptions, setUpPod} from './run.ts'
export {runSandbox, type SandboxOptions} from './sandbox.ts'
export {
  hasCreationTime,
  hasManifest,
  isAfterRun,
  isFinished,
  nameableDirectories,
  type PodDirectory,
  type PodState,
  podDirectories,
} from './state.ts'
export {stopPod} from './stop.ts'
export {imagesInUse, treesInUse} from './trees.ts'
export {isPodUuid, type PodUuid} from './uuid.ts'
export {waitUntilFinished, waitUntilReady} from './wait.ts'
