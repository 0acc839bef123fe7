/** Names of query parameters whose values give access: signed URLs of storages, tokens. */
const secretParameter = /([?&;](?:[^=&;#]*(?:sig|signature|token|secret|password|passwd|credential|key|auth)[^=&;#]*)=)[^&;#]*/gi

/** A URL as messages may show it: without its password, and without the values of query parameters that give access. */
export function redactUrl(url: string | URL): string {
  return String(url)
    .replace(/^([a-z][a-z\d+.-]*:\/\/)([^/?#@:]*):[^/?#]*@/i, '$1$2:***@')
    .replace(secretParameter, '$1***')
}

/** What a stranger wrote, as a terminal may show it: one line of bounded length, without control characters. */
export function plainText(text: string, length = 300): string {
  const clean = text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/ +/g, ' ')
    .trim()
  return clean.length > length ? `${clean.slice(0, length)}…` : clean
}
