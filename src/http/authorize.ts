import {awsRegionOf, signV4} from './aws.ts'
import type {Authorize} from './types.ts'

/** How requests to a host prove who asks; what `auth.d` holds for a domain. */
export type HostCredentials =
  | {readonly type: 'basic'; readonly credentials: {readonly user: string; readonly password: string}}
  | {readonly type: 'oauth'; readonly credentials: {readonly token: string}}
  | {
      readonly type: 'aws'
      readonly credentials: {readonly accessKeyID: string; readonly secretAccessKey: string; readonly awsRegion: string}
    }

interface AuthorizeByOptions {
  /** Credentials of type `aws` sign requests too; by default. */
  readonly aws?: boolean
  /** Credentials go over http as well as over https; not by default. */
  readonly plainHttp?: boolean
  /** Told of each entry that a request shows to a host. */
  readonly shown?: (host: string, entry: HostCredentials) => void
}

/** Proves who asks to the hosts of `entries`, of which a name counts if it is exactly the URL's host, with its port if it has one. */
export function authorizeBy(
  entries: ReadonlyMap<string, HostCredentials>,
  {aws = true, plainHttp = false, shown}: AuthorizeByOptions = {},
): Authorize {
  return ({method, url}) => {
    if (url.protocol !== 'https:' && !plainHttp) return {}
    const port = url.protocol === 'https:' ? 443 : 80
    const entry = entries.get(url.host) ?? (url.port === '' ? entries.get(`${url.host}:${port}`) : undefined)
    if (entry !== undefined && (aws || entry.type !== 'aws')) shown?.(url.host, entry)
    switch (entry?.type) {
      case 'basic':
        return {Authorization: `Basic ${Buffer.from(`${entry.credentials.user}:${entry.credentials.password}`).toString('base64')}`}
      case 'oauth':
        return {Authorization: `Bearer ${entry.credentials.token}`}
      case 'aws':
        return aws ? signV4({keys: entry.credentials, method, region: entry.credentials.awsRegion || awsRegionOf(url.host), url}) : {}
      case undefined:
        return {}
    }
  }
}
