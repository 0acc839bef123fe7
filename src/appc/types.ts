/**
 * Image and pod manifests as values, fields named as in the JSON. A value of these types that came from `parse…` is valid:
 * names are names, lists that must be unique are, defaults are filled in. Absent fields are absent, never null.
 */

declare const brand: unique symbol

/** A string that was checked once, at the edge; only the matching parser makes one. */
export type Brand<Name extends string> = string & {readonly [brand]: Name}

/** Lower-case letters and digits with inner `-`: names of apps, volumes, mount points and ports. */
export type AcName = Brand<'AcName'>
/** Lower-case letters and digits with inner `- . _ ~ /`: names of images, labels, annotations and isolators. */
export type AcIdentifier = Brand<'AcIdentifier'>
/** `sha512-` and a non-empty value, which a store resolves. */
export type ImageId = Brand<'ImageId'>
/** A UUID as 8-4-4-4-12 lower-case hex digits, never all zero. */
export type Uuid = Brand<'Uuid'>

/** A number that JavaScript cannot print as it was written; `JSON.stringify` emits `rawJSON` verbatim. */
export interface RawNumber {
  readonly rawJSON: string
}

/** Any JSON value; numbers are exact. */
export type JsonValue = null | boolean | number | string | RawNumber | readonly JsonValue[] | {readonly [key: string]: JsonValue}

export interface Label {
  readonly name: AcIdentifier
  readonly value: string
}

export interface Annotation {
  readonly name: AcIdentifier
  readonly value: string
}

export interface EnvironmentVariable {
  readonly name: string
  readonly value: string
}

/** A limit or privilege. The value of a known name is valid; one of an unknown name is whatever the manifest says. */
export interface Isolator {
  readonly name: AcIdentifier
  readonly value: JsonValue
}

export interface EventHandler {
  readonly name: 'pre-start' | 'post-stop'
  readonly exec: readonly string[]
}

export interface MountPoint {
  readonly name: AcName
  readonly path: string
  readonly readOnly?: boolean | undefined
}

/** A port (or a range of `count`) that an app listens on. */
export interface Port {
  readonly name: AcName
  readonly protocol: string
  readonly port: number
  readonly count: number
  readonly socketActivated: boolean
}

/** Free-form notes that never change what happens. */
export type UserMap = Readonly<Record<string, string>>

export interface App {
  /** Empty when the image names no program. */
  readonly exec: readonly string[]
  readonly eventHandlers?: readonly EventHandler[] | undefined
  readonly user: string
  readonly group: string
  readonly supplementaryGIDs?: readonly number[] | undefined
  /** Absolute when present. */
  readonly workingDirectory?: string | undefined
  readonly environment?: readonly EnvironmentVariable[] | undefined
  readonly mountPoints?: readonly MountPoint[] | undefined
  readonly ports?: readonly Port[] | undefined
  readonly isolators?: readonly Isolator[] | undefined
  readonly userAnnotations?: UserMap | undefined
  readonly userLabels?: UserMap | undefined
}

export interface Dependency {
  readonly imageName: AcIdentifier
  readonly imageID?: ImageId | undefined
  readonly labels?: readonly Label[] | undefined
  /** Bytes. */
  readonly size?: number | undefined
}

export interface ImageManifest {
  readonly acKind: 'ImageManifest'
  readonly acVersion: string
  readonly name: AcIdentifier
  readonly labels?: readonly Label[] | undefined
  readonly app?: App | undefined
  readonly annotations?: readonly Annotation[] | undefined
  readonly dependencies?: readonly Dependency[] | undefined
  readonly pathWhitelist?: readonly string[] | undefined
}

interface AnyVolume {
  readonly name: AcName
  /** Unset: the mount point decides, else read-write. */
  readonly readOnly?: boolean | undefined
  /** Unset means recursive. */
  readonly recursive?: boolean | undefined
}

/** A directory or file of the host. */
export interface HostVolume extends AnyVolume {
  readonly kind: 'host'
  /** Absolute. */
  readonly source: string
  /** Our own extension, which other readers ignore. Unset: the flavor's default, which is `private` but for fly. */
  readonly propagation?: Propagation | undefined
}

/** Whether mounts made later are seen on the other side: nowhere, in the pod, or on both. */
export type Propagation = 'private' | 'slave' | 'shared'

/** A fresh directory that lives as long as the pod. */
export interface EmptyVolume extends AnyVolume {
  readonly kind: 'empty'
  /** Octal digits. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
}

export type Volume = HostVolume | EmptyVolume

/** Puts a volume at a path of an app. */
export interface Mount {
  readonly volume: AcName
  readonly path: string
  /** Given, it is used instead of the pod's volume of that name. */
  readonly appVolume?: Volume | undefined
}

export interface RuntimeImage {
  readonly name?: AcIdentifier | undefined
  /** A template may lack it; a pod that is written has it. */
  readonly id?: ImageId | undefined
  readonly labels?: readonly Label[] | undefined
}

/** An app of a pod. Its `app` replaces the image's app section as a whole. */
export interface RuntimeApp {
  readonly name: AcName
  readonly image: RuntimeImage
  readonly app?: App | undefined
  readonly readOnlyRootFS?: boolean | undefined
  readonly mounts?: readonly Mount[] | undefined
  readonly annotations?: readonly Annotation[] | undefined
}

/** A port of the pod that the host offers. */
export interface ExposedPort {
  readonly name: AcName
  readonly hostPort: number
  /** Unset means every address of the host. */
  readonly hostIP?: string | undefined
  /** Unset: the port of that name of the pod's apps. */
  readonly podPort?: Port | undefined
}

/** In the JSON an absent list of these is `null`, an empty one `[]`. */
export interface PodManifest {
  readonly acVersion: string
  readonly acKind: 'PodManifest'
  readonly apps: readonly RuntimeApp[]
  readonly volumes?: readonly Volume[] | undefined
  readonly isolators?: readonly Isolator[] | undefined
  readonly annotations?: readonly Annotation[] | undefined
  readonly ports?: readonly ExposedPort[] | undefined
  readonly userAnnotations?: UserMap | undefined
  readonly userLabels?: UserMap | undefined
}

/** What can still be told of an image manifest that is not valid. */
export interface LenientImageManifest {
  readonly acKind: 'ImageManifest'
  readonly acVersion: string
  readonly name: string
  readonly labels: readonly {readonly name: string; readonly value: string}[]
}

/** What can still be told of a pod manifest that is not valid. */
export interface LenientPodManifest {
  readonly acKind: 'PodManifest'
  readonly acVersion: string
  readonly apps: readonly {
    readonly name: string
    readonly image: {
      readonly name: string
      readonly id: string
      readonly labels: readonly {readonly name: string; readonly value: string}[]
    }
  }[]
}
