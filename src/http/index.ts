/**
 * HTTP: one client for everything that rkt fetches (archives, signatures, discovery pages, keys, registries). It follows redirects
 * without carrying credentials elsewhere, goes through proxies, believes the host's certificate authorities, tries again what is worth
 * it, and continues bodies that were cut.
 * Rests on node:http and node:https, which the first request loads, and errors.ts. Knows nothing of images, registries or
 * configuration: what it needs of the environment it is told.
 */
export {authorizeBy, type HostCredentials} from './authorize.ts'
export {type AwsKeys, awsRegionOf, signV4} from './aws.ts'
export {openHttp} from './client.ts'
export {statusError} from './failures.ts'
export {readBounded} from './read-bounded.ts'
export {plainText, redactUrl} from './redact.ts'
export {openTransfer, type Transfer, type TransferOptions} from './transfer.ts'
export type {Authorize, HttpClient, HttpDocument, HttpOptions, HttpResponse, ReadOptions, RequestOptions, RetryPolicy} from './types.ts'
