import {readFileSync, statSync} from 'node:fs'

/** The process that took the lock of a pod, when the kernel says it: the device in /proc/locks is not every file system's own. */
export function lockHolder(path: string): number | undefined {
  try {
    const {dev, ino} = statSync(path)
    const hex = (number: number) => number.toString(16).padStart(2, '0')
    // makedev(3): the minor's low byte is below the major.
    const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)]
    const place = `${hex(major)}:${hex(minor)}:${ino}`
    for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
      const [, kind, , mode, pid, where] = line.split(/\s+/)
      if (kind === 'FLOCK' && mode === 'WRITE' && where === place && Number(pid) > 0) return Number(pid)
    }
  } catch {
    // Gone meanwhile, or no such file in this kernel.
  }
  return undefined
}
