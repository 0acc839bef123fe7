/** Go's words for booleans and numbers, with the texts of its errors. */

const truths = ['1', 't', 'T', 'TRUE', 'true', 'True']
const falsehoods = ['0', 'f', 'F', 'FALSE', 'false', 'False']

export function parseBoolean(text: string): boolean {
  if (truths.includes(text)) return true
  if (falsehoods.includes(text)) return false
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`)
}

export function parseInteger(text: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : /^[+-]?0[xX][\da-fA-F]+$/.test(text) ? signedHex(text) : Number.NaN
  if (Number.isNaN(value)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  if (!Number.isSafeInteger(value)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`)
  return value
}

function signedHex(text: string): number {
  return text.startsWith('-') ? -Number(text.slice(1)) : Number(text.replace('+', ''))
}
