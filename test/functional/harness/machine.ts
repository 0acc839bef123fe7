/** A machine of a test's own: the directories, ports and networks that rkt uses when nobody says otherwise, unused. */
import {spawn} from 'node:child_process'
import {once} from 'node:events'

// Pid 1 is the shell, which reaps what a pod leaves behind while it waits for cat; with its end the kernel ends everything there.
const script = `set -e
for directory in /run /etc/rkt /var/lib/rkt /var/lib/cni; do mount -t tmpfs -o mode=755 rkt-test $directory; done
ip link set lo up
echo ready
cat > /dev/null
exit`

export interface Machine extends AsyncDisposable {
  /** The words that start a command there; it begins in the root directory. */
  readonly within: readonly string[]
}

/** When it is disposed of its processes have ended, whatever they were; files outside of those directories are the test's. */
export async function aMachine(): Promise<Machine> {
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child']
  const holder = spawn('unshare', [...namespaces, 'sh', '-c', script], {stdio: ['pipe', 'pipe', 'inherit']})
  const ended = once(holder, 'exit')
  await Promise.race([once(holder.stdout, 'data'), ended])
  if (holder.exitCode !== null) throw new Error('no namespaces can be made here')
  const of = `/proc/${holder.pid}/ns`
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end()
      await ended
    },
    within: ['nsenter', `--mount=${of}/mnt`, `--net=${of}/net`, `--pid=${of}/pid_for_children`],
  }
}
