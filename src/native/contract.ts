/**
 * What the Rust addon promises, as types. Paths are absolute; descriptors are numbers that the caller owns unless told otherwise.
 * Every function answers a value or a `NativeFailure`; none throws for a failure of the system.
 */

/** A failure as the addon reports it: `code` is one of ours (`RKT_…`), `errno` the kernel's number or 0, `message` names the object. */
export interface NativeFailure {
  readonly failure: {readonly code: string; readonly errno: number; readonly message: string; readonly cause?: string}
}

export type Outcome<T> = T | NativeFailure

export type LockMode = 'shared' | 'exclusive' | 'unlock'

/** What one pass over an image's bytes gave. The blob lies in an unnamed file that `publish` makes visible. */
export interface Ingested {
  /** An O_TMPFILE descriptor, close-on-exec, holding the uncompressed tar, flushed to disk. */
  readonly fd: number
  /** Lower-case hex SHA-512 of the uncompressed tar, 128 digits. */
  readonly sha512: string
  /** Length of the uncompressed tar in bytes. */
  readonly size: number
  /** Bytes of the entry `manifest`; at most 16 MiB. */
  readonly manifest: Buffer
}

/** One image of a render list: the list runs from the highest precedence (the top image) to the lowest. */
export interface RenderSource {
  readonly blob: string
  /** The hex SHA-512 that the blob must have, a prefix of at least 64 digits. */
  readonly sha512: string
  /** The image's own path whitelist (`/etc/passwd` …), or null: filters what is not a directory. */
  readonly own: readonly string[] | null
  /** Whitelists of its ancestors: an entry, directory or not, must be in each. */
  readonly inherited: readonly (readonly string[])[]
}

export interface RenderRequest {
  readonly images: readonly RenderSource[]
  /** An existing empty directory that becomes the content of `rootfs`. */
  readonly target: string
  /** Added to every uid and gid, which must be below `count`; null leaves them. */
  readonly shift: IdRange | null
}

/** Counts of what was written. `bytes` is the sum of the sizes of all entries, hard links once. */
export interface TreeStats {
  readonly entries: number
  readonly bytes: number
}

/** What is known of a layer of an OCI image, and what is to be done with it. Digests are `sha256:HEX` or `sha512:HEX`. */
export interface LayerRequest {
  /** Of the bytes as they come; null where nobody told it, it is then computed by SHA-256. */
  readonly digest: string | null
  /** Their number. */
  readonly size: number | null
  /** Digest of the inflated bytes. */
  readonly diffId: string | null
  /** Most bytes that it may inflate to. */
  readonly limit: number
  /** Directory for the blob, which has no name until `publish`; null writes none. */
  readonly blobDir: string | null
  /** An empty directory that becomes the layer's tree in overlayfs' form; null renders nothing. */
  readonly rootfs: string | null
}

/** A layer whose size, digest and DiffID are right. All of it is on the disk. */
export interface IngestedLayer {
  /** The blob, an O_TMPFILE descriptor; null where none was asked for. */
  readonly fd: number | null
  readonly digest: string
  readonly size: number
  readonly diffId: string
  /** Number of inflated bytes. */
  readonly inflated: number
  readonly rendered: RenderedLayer | null
}

export interface RenderedLayer extends TreeStats {
  /** False for a layer with a hard link into a lower one: its tree is of no use, its image has to be flattened. */
  readonly whole: boolean
  /** Paths of the directories that no entry describes, each followed by a zero byte. */
  readonly implied: Buffer
}

/** A layer that is pushed. Dropped before its end it leaves nothing. */
export interface LayerSink {
  /** Starts to take the layer in, once; settles when it has ended, however. */
  ingest(request: LayerRequest): Promise<Outcome<IngestedLayer>>
  /** Takes bytes, which are copied; false asks to wait for `drained`. */
  push(bytes: Uint8Array): boolean
  /** Settles when there is room again, or nobody reads any more. */
  drained(): Promise<null>
  /** All has been pushed. */
  end(): void
  /** The rest will not come: `ingest` settles with `RKT_LAYER_ABORTED`. */
  abort(): void
}

/** One layer of an image that is flattened. */
export interface FlatLayer {
  readonly blob: string
  readonly diffId: string
  readonly limit: number
}

/** The ids of a user namespace: 0 and up inside are `base` and up outside. */
export interface IdRange {
  readonly base: number
  readonly count: number
}

export interface OverlayMount {
  /** Highest layer first. */
  readonly lowers: readonly string[]
  /** Absent for a read-only view. */
  readonly upper?: string
  readonly work?: string
  readonly target: string
  /** The SELinux context of all files in it. */
  readonly context?: string
}

export interface BecomeRequest {
  readonly path: string
  /** argv[0] included. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Descriptors that stay open across the exec, apart from 0, 1, 2 and LISTEN_FDS. */
  readonly keepFds: readonly number[]
  /**
   * What is mounted in a mount namespace of the pod's own, which exists only if this is given: `root` is bound on itself and
   * made private, then the overlays are mounted in their order.
   */
  readonly mounts?: {
    readonly root: string
    readonly overlays: readonly OverlayMount[]
    /** Whose ids the lower layers are shown with (id-mapped mounts); the upper ones have them. */
    readonly ids?: IdRange | undefined
  }
  /** The text of RKT_LAUNCH as the launcher wrote it; restores rlimits, signal dispositions and mask, umask and descriptor flags. */
  readonly launch?: string | undefined
}

/** What a running pod is found by, on the host. */
export interface PodProcess {
  /** Its pid 1, as the host counts. */
  readonly pid: number
  /**
   * The root of its stage1, no link in it. A pod in whose mount namespace it has this path is served there; else the pod's own root is
   * stage1's.
   */
  readonly stage1: string
}

/** How a terminal behaved at some time. */
export interface TerminalMode {
  /** Has the terminal behave so again. */
  restore(): void
}

export interface Xattr {
  readonly name: string
  readonly value: Buffer
}

export interface NativeAddon {
  // --- archive: off the event loop -------------------------------------------------------------------------------------------
  /** Inflates (gzip, bzip2, xz, zstd or plain, by magic number), hashes, checks the layout of and writes an ACI, in one pass. */
  ingestAci(sourceFd: number, tmpDir: string): Promise<Outcome<Ingested>>
  /** Renders images into `target` by the merge rules of appc (appc.md §7), verifying every blob's hash on the way. */
  renderTree(request: RenderRequest): Promise<Outcome<TreeStats>>
  LayerSink: new () => LayerSink
  /** Takes a layer in from a descriptor: hashed, written, inflated, hashed and rendered in one pass. */
  ingestLayer(sourceFd: number, request: LayerRequest): Promise<Outcome<IngestedLayer>>
  /**
   * Lays layers (base first) on each other in an empty directory as an overlay would show them, each verified by its DiffID, hard links
   * into lower layers too. `scratch` is a path on the same file system that does not exist, before and after.
   */
  flattenLayers(layers: readonly FlatLayer[], target: string, scratch: string, shift: RenderRequest['shift']): Promise<Outcome<TreeStats>>
  /** Unpacks one image as it is: `manifest` and `rootfs/` in `target`, or only the content of rootfs. */
  extractAci(blob: string, sha512: string, target: string, rootfsOnly: boolean): Promise<Outcome<TreeStats>>
  /** The Merkle digest of a tree, computed by all cores: `merkle-sha512-` and 64 hex digits. */
  digestTree(dir: string): Promise<Outcome<string>>
  /** Removes a tree, never following a link out of it nor crossing a mount; a tree that is absent is success. */
  removeTree(path: string): Promise<Outcome<null>>
  /** Gives every file of a tree, links not followed, a context of SELinux. */
  labelTree(path: string, context: string): Promise<Outcome<null>>
  /** Copies a tree with owners (shifted), modes, times, xattrs, hard links and special files; `to` must not exist. */
  copyTree(from: string, to: string, shift: RenderRequest['shift']): Promise<Outcome<TreeStats>>
  treeStats(dir: string): Promise<Outcome<TreeStats>>
  /** syncfs(2) of the file system that holds the path. */
  syncFilesystem(path: string): Promise<Outcome<null>>
  /** All extended attributes of a path, links not followed. */
  listXattrs(path: string): Outcome<readonly Xattr[]>

  // --- files: synchronous, short ---------------------------------------------------------------------------------------------
  /** flock(2), never blocking: false when another holds it. */
  flock(fd: number, mode: LockMode): Outcome<boolean>
  /** Gives an unnamed file (O_TMPFILE) a name by linkat(2): true, or false when the name exists already. */
  publish(fd: number, path: string, mode: number): Outcome<boolean>
  /** Opens an unnamed file (O_TMPFILE, read-write, close-on-exec) in `dir`. */
  openTmpFile(dir: string): Outcome<number>
  /** Reads a regular file of at most `max` bytes below `root` without following any link (RESOLVE_NO_SYMLINKS); null when absent. */
  readFileBeneath(root: string, path: string, max: number): Outcome<Buffer | null>
  /** The text of a link below `root`, no link on the way followed; null when absent. */
  readLinkBeneath(root: string, path: string): Outcome<string | null>

  // --- mounts and processes --------------------------------------------------------------------------------------------------
  /** Tries an overlay with its upper and work directories inside `dir`: null, or the reason why it does not work. */
  probeOverlay(dir: string): Outcome<string | null>
  /** Tries to show `dir` with other ids (an id-mapped mount): null, or the reason why it does not work. */
  probeIdMap(dir: string): string | null
  /** A detached, read-only overlay of `lowers` (highest first): a descriptor through which it can be read, gone when closed. */
  overlayView(lowers: readonly string[]): Outcome<number>
  /**
   * Makes the place of an app in a running pod: `opt/stage2/APP` with the manifest of its image and, if there is one, the overlay that is
   * its root (`target` is not looked at).
   */
  addAppInside(pod: PodProcess, app: string, manifest: Buffer, overlay: OverlayMount | null): Outcome<boolean>
  /** Takes that place out of a running pod, as far as it is there. */
  removeAppInside(pod: PodProcess, app: string): Outcome<boolean>
  /** Marks a moment in the life of an app: an empty file `rkt/status/APP-MOMENT`, made anew. The one before is kept until the next. */
  markAppInside(pod: PodProcess, app: string, moment: 'created' | 'started'): Outcome<boolean>
  /** Takes back the last mark: the one before it counts again, if there was one. */
  unmarkAppInside(pod: PodProcess, app: string, moment: 'created' | 'started'): Outcome<boolean>
  /** Detaches whatever is mounted below `dir` in this mount namespace, deepest first; answers the mount points. */
  unmountBelow(dir: string): Outcome<readonly string[]>
  /**
   * Starts a thread that waits for processes by pidfds, and answers one end of a pair of sockets to talk with it, in words of four bytes of
   * this machine: a pid to wait for; in return the pid once its process has ended, or its negative when nobody can wait for it. Closing the
   * descriptor ends the thread.
   */
  processEnds(): Outcome<number>
  /** How the terminal of a descriptor behaves now (termios(3)); null when it is none. */
  terminalMode(fd: number): TerminalMode | null
  /** Replaces this process (execve(2)); returns only when it failed. Main thread only. */
  become(request: BecomeRequest): NativeFailure
}
