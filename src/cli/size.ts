const suffixes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** Bytes for people: `9B`, `4.3MiB`, `12MiB`; one decimal below ten of a unit, none from there on. */
export function humanSize(bytes: number): string {
  if (bytes < 10) return `${bytes}B`
  const exponent = Math.min(Math.floor(Math.log(bytes) / Math.log(1024)), suffixes.length - 1)
  const value = Math.floor((bytes / 1024 ** exponent) * 10 + 0.5) / 10
  return `${value.toFixed(value < 10 ? 1 : 0)}${suffixes[exponent]}`
}
