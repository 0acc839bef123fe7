export interface AwsKeys {
  readonly accessKeyID: string
  readonly secretAccessKey: string
}

interface SignedRequest {
  readonly method: string
  readonly url: URL
  /** Headers that are signed besides `Host`, `X-Amz-Date` and `X-Amz-Content-Sha256`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly keys: AwsKeys
  readonly region: string
  readonly service?: string
  readonly date?: Date
}

const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * The headers of AWS Signature Version 4 for a request without a body, service `s3` unless said otherwise.
 * docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function signV4({
  date = new Date(),
  headers = {},
  keys,
  method,
  region,
  service = 's3',
  url,
}: SignedRequest): Record<string, string> {
  const stamp = date.toISOString().replace(/[:-]|\.\d{3}/g, '')
  const day = stamp.slice(0, 8)
  const own = {'X-Amz-Content-Sha256': emptyHash, 'X-Amz-Date': stamp}
  const signed = Object.entries({...headers, ...own, Host: url.host})
    .map(([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const names = signed.map(([name]) => name).join(';')
  const canonical = [
    method,
    canonicalPath(url),
    canonicalQuery(url),
    ...signed.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    emptyHash,
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const {createHash, createHmac} = process.getBuiltinModule('node:crypto')
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${keys.secretAccessKey}`)
  const signature = hmac(key, toSign).toString('hex')
  return {...own, Authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyID}/${scope}, SignedHeaders=${names}, Signature=${signature}`}
}

/** S3 signs the path as it is sent, each segment encoded once. */
const canonicalPath = ({pathname}: URL): string =>
  pathname
    .split('/')
    .map((segment) => encode(decode(segment)))
    .join('/')

function canonicalQuery({search}: URL): string {
  const pairs = search
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '')
  const encoded = pairs.map((pair) => {
    const equals = pair.indexOf('=')
    const [name, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
    return [encode(decode(name)), encode(decode(value))] as const
  })
  return encoded
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The region in the name of a host of S3; `us-east-1` where it names none. */
export function awsRegionOf(host: string): string {
  const name = host.toLowerCase().replace(/:\d+$/, '')
  const parts = name.split('.')
  const fallback = 'us-east-1'
  if (parts.length < 3 || parts.at(-2) !== 'amazonaws') return fallback
  if (/(?:^|\.)(?:s3|s3-external-1)\.amazonaws\.com$/.test(name)) return fallback
  const third = parts.at(-3) ?? ''
  if (third.startsWith('s3-')) return third.slice('s3-'.length)
  if (parts.length > 4 && parts.at(-4) === 's3') return third
  return fallback
}
