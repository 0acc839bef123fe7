/**
 * What functional tests stand on: hosts of their own, images of real programs, and the traces that a pod could leave.
 * Knows rkt only as a program; nothing of src/ is imported here.
 */
export {apiService, NodeClient, pythonClient} from './api-clients.ts'
export {hostileArchive, type TarEntry, tarBytes} from './archives.ts'
export {foreignFlavor} from './foreign-flavor.ts'
export {aHost, checkout, Host, RunningPod, rktProgram} from './host.ts'
export {addBusybox, addWithLibraries, arch, buildImage, busybox, compileProgram, manifest, program, redis} from './images.ts'
export {inApp, withoutLabels} from './in-app.ts'
export {aMachine, type Machine} from './machine.ts'
export {
  addDebianPlugins,
  addNetwork,
  addScript,
  answers,
  ask,
  calls,
  connect,
  debianPlugins,
  echo,
  Lan,
  Namespace,
  oldResult,
  webServer,
} from './networks.ts'
export {OrdinaryUser} from './ordinary-user.ts'
export {eventually, type Result, Running, runProgram} from './processes.ts'
export {aSandbox} from './sandbox.ts'
export {noTerminals, Terminal} from './terminal.ts'
export {cgroups, contents, familyOf, mounts, processes} from './traces.ts'
