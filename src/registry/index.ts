/**
 * Registries: images, their documents and blobs, over the distribution API, with tokens and credentials. What is returned was
 * verified: documents against their digest, blobs while they stream.
 * Rests on http, oci, native (the caller's environment is handed in) and errors.ts. Knows nothing of stores, trees or the command
 * line, and never shows a secret.
 */
export {type CredentialQuery, type Credentials, type CredentialsOptions, openCredentials} from './credentials.ts'
export {type Choice, checkPlatform, chooseImage, type DocumentSource} from './image.ts'
export {openRegistry} from './registry.ts'
export {type Credential, Secret} from './secret.ts'
export type {BlobOptions, BlobStream, Registry, RegistryDocument, RegistryImage, RegistryOptions, Repository, TagOrDigest} from './types.ts'
