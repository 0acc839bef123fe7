/**
 * Manifests of the App Container specification 0.8.11: types, reading with all the quirks of the format, validation that names
 * the field, canonical writing, and the small languages around them (names, ids, quantities, image strings, volumes).
 * Rests on errors.ts. Knows no file, no process and no other room.
 */
export type {
  AcIdentifier,
  AcName,
  Annotation,
  App,
  Dependency,
  EmptyVolume,
  EnvironmentVariable,
  EventHandler,
  ExposedPort,
  HostVolume,
  ImageId,
  ImageManifest,
  Isolator,
  JsonValue,
  Label,
  LenientImageManifest,
  LenientPodManifest,
  Mount,
  MountPoint,
  PodManifest,
  Port,
  RuntimeApp,
  RuntimeImage,
  UserMap,
  Uuid,
  Volume,
} from './types.ts'
