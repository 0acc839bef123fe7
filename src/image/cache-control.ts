/** Seconds for which a download stays fresh by its `Cache-Control`; 0 means that the server is asked each time. Later directives win. */
export function maxAgeOf(cacheControl: string | undefined): number {
  let seconds = 0
  for (const directive of (cacheControl ?? '').split(',').map((part) => part.trim().toLowerCase())) {
    const [, digits] = /^max-age=(-?[1-9]\d{0,14}|0)$/.exec(directive) ?? []
    if (digits !== undefined) seconds = Math.max(0, Number(digits))
    else if (directive === 'no-store' || directive === 'no-cache') seconds = 0
  }
  return seconds
}
