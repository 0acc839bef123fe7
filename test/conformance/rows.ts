/** The rows of the conformance table: what an executor has to give, by the validator of appc and by §10 and §11 of its specification. */

export interface Row {
  readonly id: string
  readonly claim: string
}

const row = (id: string, claim: string): Row => ({claim, id})

export const rows: readonly Row[] = [
  row('P1', '`pre-start`: the root is clean and can be written'),
  row('P2', '`pre-start`: the main process has not run'),
  row('P3', '`pre-start`: `post-stop` has not run'),
  row('M1', '`pre-start` ran to its end before, in the same root'),
  row('M2', 'each run has a fresh root'),
  row('M3', '`post-stop` has not run'),
  row('M4', 'the default `PATH`'),
  row('M5', 'the working directory of the manifest'),
  row('M6', 'the environment of the manifest'),
  row('M7', 'the volume is mounted and can be written'),
  row('M8', '`AC_APP_NAME`'),
  row('M10', 'the apps of a pod run at the same time and share volumes'),
  row('M11', 'an empty volume is empty, and can be written'),
  row('S1', 'so it is for the other app'),
  row('S2', 'both see what each writes'),
  row('T1', '`post-stop` runs, in the same root'),
  row('T2', '`post-stop` runs after the main process'),
  row('T3', '`post-stop` runs once'),
  row('D0', '`AC_METADATA_URL`'),
  row('D1', 'metadata: the manifest of the pod'),
  row('D2', 'metadata: the UUID'),
  row('D3', 'metadata: annotations of the pod'),
  row('D4', 'metadata: the manifest of an image'),
  row('D5', 'metadata: the ID of an image'),
  row('D6', 'metadata: annotations of an app over those of its image'),
  row('D7', 'metadata: a signature'),
  row('D8', 'metadata: its verification'),
  row('E1', 'without a working directory it is `/`'),
  row('E2', 'the apps of a pod see each other as processes'),
  row('E3', 'they share System V IPC'),
  row('E4', 'the root of one is not that of the other'),
  row('E5', "the pod's own name as the host's"),
  row('E6', 'the memory limit is in the cgroup of the app'),
  row('E10', '`container`'),
  row('E11', '`/dev/null`, `zero`, `full`, `random`, `urandom`, `tty`, `console`'),
  row('E12', '`/proc` is a procfs'),
  row('E13', '`/sys` is a sysfs'),
  row('E14', '`/dev/pts` is a devpts'),
  row('E15', '`/dev/ptmx` opens terminals there'),
  row('E16', '`/dev/shm` is a tmpfs'),
  row('E17', '`/etc/hosts` has a loopback entry'),
  row('E20', 'a read-only root'),
  row('E21', 'supplementary groups'),
  row('E22', 'the default capabilities, as the bounding set'),
]
