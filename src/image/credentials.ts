import type {Auth} from '../config/index.ts'

/**
 * The `Authorization` of requests by the configuration: a domain counts if it is exactly the URL's host, with its port if it has
 * one. Signed requests to AWS come with the other transports.
 */
export function authorizationFrom(auth: ReadonlyMap<string, Auth>): (url: URL) => string | undefined {
  return ({host}) => {
    const entry = auth.get(host)
    switch (entry?.type) {
      case 'basic':
        return `Basic ${Buffer.from(`${entry.credentials.user}:${entry.credentials.password}`).toString('base64')}`
      case 'oauth':
        return `Bearer ${entry.credentials.token}`
      case 'aws':
      case undefined:
        return undefined
    }
  }
}
