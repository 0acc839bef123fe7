/** The merged configuration as values. */

export interface BasicCredentials {
  readonly user: string
  readonly password: string
}

export interface OauthCredentials {
  readonly token: string
}

export interface AwsCredentials {
  readonly accessKeyID: string
  readonly secretAccessKey: string
  /** Empty when unset. */
  readonly awsRegion: string
}

/** How requests to a domain prove who asks. */
export type Auth =
  | {readonly type: 'basic'; readonly credentials: BasicCredentials}
  | {readonly type: 'oauth'; readonly credentials: OauthCredentials}
  | {readonly type: 'aws'; readonly credentials: AwsCredentials}

export interface Paths {
  /** The data directory; absolute. */
  readonly data?: string
  /** Where stage1 images lie; absolute. */
  readonly stage1Images?: string
}

/** The default stage1 image. Name and version are both set or both absent. */
export interface Stage1 {
  readonly name?: string
  readonly version?: string
  /** An absolute path, or a URL with one of the schemes docker, file, http, https. */
  readonly location?: string
}

export interface Config {
  /** By domain. */
  readonly auth: ReadonlyMap<string, Auth>
  /** By registry. */
  readonly dockerAuth: ReadonlyMap<string, BasicCredentials>
  readonly paths: Paths
  readonly stage1: Stage1
}
