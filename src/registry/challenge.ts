/** One challenge of a `WWW-Authenticate` header (RFC 9110, 11.6.1); scheme and names of parameters in lower case. */
export interface Challenge {
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}

/** At the start of the text, `name=value` or `name="value"` with `\` before what is quoted. */
const parameter = /^([!#$%&'*+.^_`|~\dA-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/s
const word = /^[!#$%&'*+.^_`|~\dA-Za-z-]+/

/** The challenges of a header in their order; several may stand in one header, and commas inside of quotes. What cannot be read ends it. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: {parameters: Record<string, string>; scheme: string}[] = []
  let rest = header.slice(0, 16_384)
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '')
    const current = challenges.at(-1)
    const pair = current === undefined ? null : parameter.exec(rest)
    if (current !== undefined && pair !== null) {
      const [all, name = '', quoted, plain = ''] = pair
      const key = name.toLowerCase()
      // The first of two wins, and `__proto__` is a name like others.
      if (!Object.hasOwn(current.parameters, key)) current.parameters[key] = quoted?.replace(/\\(.)/gs, '$1') ?? plain
      rest = rest.slice(all.length)
      continue
    }
    const scheme = word.exec(rest)?.[0]
    if (scheme === undefined) return challenges
    challenges.push({parameters: Object.create(null) as Record<string, string>, scheme: scheme.toLowerCase()})
    rest = rest.slice(scheme.length).replace(/^[ \t]+[A-Za-z\d._~+/-]+=*(?=[ \t]*(?:,|$))/, '') // a token68 instead of parameters
  }
}
