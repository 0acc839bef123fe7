/** Text out of hostile documents, fit for one line of a terminal. */

const MAX_QUOTED = 80
// C0, DEL and C1 controls, line separators and the characters that reorder text: none may reach a terminal as they are
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** In double quotes, without control characters: for what a user typed. */
export function quoteWhole(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(UNSAFE, escapeCharacter)
}

/** The same, cut when it is long: for what a document holds. */
export function quote(text: string): string {
  return quoteWhole(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text)
}

/** The same text with each control character replaced by one blank, so that columns stay. */
export function printable(text: string): string {
  return text.toWellFormed().replace(UNSAFE, ' ')
}
