/**
 * The environment as the caller of rkt had it. The launcher moves the caller's `NODE_*` variables into RKT_LAUNCH, so that they do
 * not reach our own Node; here they come back, for the pod and for child processes. The text is the one of crates/launcher.
 */
export function callerEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {}
  const launch = process.env.RKT_LAUNCH
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined || name === 'RKT_LAUNCH') continue
    if (launch !== undefined && name.startsWith('NODE_')) continue // ours: the launcher took the caller's away
    environment[name] = value
  }
  return launch === undefined ? environment : Object.assign(environment, callerNodeVariables(launch))
}

/** The field `n=` of RKT_LAUNCH: `NAME=VALUE` joined by `,`, every other byte than letters, digits and `_-./:=` as `%XX`. */
export function callerNodeVariables(launch: string): Record<string, string> {
  const variables: Record<string, string> = {}
  const field = launch.split(';').find((part) => part.startsWith('n='))
  for (const item of field?.slice(2).split(',') ?? []) {
    const [name, ...value] = item.split('=')
    if (name?.startsWith('NODE_') && value.length > 0) variables[decode(name)] = decode(value.join('='))
  }
  return variables
}

function decode(text: string): string {
  const bytes = text.replace(/%([\dA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
