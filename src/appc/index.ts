/**
 * Manifests of the App Container specification 0.8.11: types, reading with all the quirks of the format, validation that names
 * the field, canonical writing, and the small languages around them (names, ids, quantities, image strings, volumes).
 * Rests on errors.ts. Knows no file, no process and no other room.
 */
export {newUuid, parseImageId, parseUuid} from './ids.ts'
export {formatImageString, type ImageString, parseImageString} from './image-string.ts'
export {lastIsolator, makeIsolator, unknownIsolators} from './isolators.ts'
export {lenientImageManifest, lenientPodManifest} from './lenient.ts'
export {
  type EncodeOptions,
  encodeImageManifest,
  encodePodManifest,
  type ManifestKind,
  parseImageManifest,
  parsePodManifest,
  probeManifest,
} from './manifest.ts'
export {parseMount, parseMountPoint} from './mount.ts'
export {appNameOf, parseAcIdentifier, parseAcName, sanitizeAcIdentifier, sanitizeAcName} from './names.ts'
export {type AcPlatform, fromOciPlatform, type OciPlatform, toOciPlatform} from './oci-platform.ts'
export {checkOsArch, hostLabels, KNOWN_PLATFORMS, labelValue} from './platform.ts'
export {parseExposedPort, parsePort} from './port.ts'
export {parseQuantity, type Quantity, quantityOf} from './quantity.ts'
export {AC_VERSION, parseAcVersion} from './scalars.ts'
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
export {formatVolume, parseMountVolume, parseVolume} from './volume.ts'
