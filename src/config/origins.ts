/** Which file of the configuration said something: beside the values, so that nothing that prints or compares them meets it. */
const files = new WeakMap<object, string>()

export function rememberFile(value: object, path: string): void {
  if (!files.has(value)) files.set(value, path)
}

/** The path of the file that a value of `auth` or `dockerAuth` comes from; undefined for one that no file has. */
export function fileOf(value: object): string | undefined {
  return files.get(value)
}

/** Says once of each host which file the credentials come from that it is shown; of their value nothing. */
export function sayOrigins(say: (line: string) => void): (host: string, credentials: object) => void {
  const told = new Set<string>()
  return (host, credentials) => {
    const line = `credentials for ${host} come from ${fileOf(credentials) ?? 'the auth files of rkt'}`
    if (told.has(line)) return
    told.add(line)
    say(line)
  }
}
