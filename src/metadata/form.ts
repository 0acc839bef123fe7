/**
 * The fields of a form as bytes (application/x-www-form-urlencoded), the first value of each name. What is signed are bytes, which need
 * not be text, so that no decoder of text may touch them.
 */
export function parseForm(body: Buffer): ReadonlyMap<string, Buffer> {
  const fields = new Map<string, Buffer>()
  // Latin-1 keeps every byte as one letter.
  for (const field of body.toString('latin1').split('&')) {
    const at = field.indexOf('=')
    const name = at < 0 ? field : field.slice(0, at)
    const key = decode(name).toString()
    if (!fields.has(key)) fields.set(key, decode(at < 0 ? '' : field.slice(at + 1)))
  }
  return fields
}

function decode(text: string): Buffer {
  const bytes = text.replaceAll('+', ' ').replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1')
}
