import {getSystemErrorMap} from 'node:util'

/** Where the C library's text, which is the documented one, is not libuv's. */
const texts: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EAGAIN: 'resource temporarily unavailable',
  EBADF: 'bad file descriptor',
  EBUSY: 'device or resource busy',
  ECANCELED: 'operation canceled',
  EDQUOT: 'disk quota exceeded',
  EEXIST: 'file exists',
  EFBIG: 'file too large',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  EMFILE: 'too many open files',
  EMLINK: 'too many links',
  ENAMETOOLONG: 'file name too long',
  ENFILE: 'too many open files in system',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOEXEC: 'exec format error',
  ENOMEM: 'cannot allocate memory',
  ENOSPC: 'no space left on device',
  ENOSYS: 'function not implemented',
  ENOTBLK: 'block device required',
  ENOTCONN: 'transport endpoint is not connected',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  ENOTSUP: 'operation not supported',
  ENOTTY: 'inappropriate ioctl for device',
  ENXIO: 'no such device or address',
  EPERM: 'operation not permitted',
  EPIPE: 'broken pipe',
  EROFS: 'read-only file system',
  ESRCH: 'no such process',
  ESTALE: 'stale file handle',
  ETXTBSY: 'text file busy',
  EUSERS: 'too many users',
  EXDEV: 'invalid cross-device link',
}

/** Numbers that libuv has no name for, and the kernel answers here. */
const unnamed: ReadonlyMap<number, string> = new Map([
  [8, 'ENOEXEC'],
  [15, 'ENOTBLK'],
  [87, 'EUSERS'],
  [116, 'ESTALE'],
  [122, 'EDQUOT'],
])

/** A failure of the system with the name of its errno (`ENOENT`) and its number, positive as the kernel has it. */
export class SystemError extends Error {
  readonly code: string
  readonly errno: number

  constructor(code: string, errno: number, context: string) {
    super(context === '' ? text(code) : `${context}: ${text(code)}`)
    this.name = 'SystemError'
    this.code = code
    this.errno = errno
  }
}

/** `open /p: no such file or directory`, of whatever `node:fs` threw; what is no error of the system is returned as it is. */
export function systemError(op: string, path: string, error: unknown): Error {
  const {code, errno} = (error ?? {}) as {code?: unknown; errno?: unknown}
  if (typeof code === 'string' && typeof errno === 'number') return new SystemError(code, Math.abs(errno), `${op} ${path}`)
  return error instanceof Error ? error : new Error(String(error))
}

/** The same of a number of the kernel; `context` stands in front of the text where it is not empty. */
export function errnoError(errno: number, context = ''): SystemError {
  return new SystemError(errnoName(errno), errno, context)
}

/** `ENOENT` and its like, or `errno N` for a number without a name. */
function errnoName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? unnamed.get(errno) ?? `errno ${errno}`
}

function text(code: string): string {
  const known = texts[code]
  if (known !== undefined) return known
  for (const [name, message] of getSystemErrorMap().values()) if (name === code) return message
  return code
}
