/** Tables as scripts know them: cells padded with tabs to multiples of 8 columns, never with blanks. */

const tabWidth = 8

/**
 * Rows as lines, each with its newline. A column is as wide as its widest cell asks for, counted in tabs; the last cell of a row is not
 * padded. A column's width comes from neighbouring rows that have a cell behind it.
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = columnWidths(rows)
  return rows.map((row, index) => `${row.map((cell, column) => padded(cell, widths[index]?.[column])).join('')}\n`).join('')
}

function padded(cell: string, width: number | undefined): string {
  return width === undefined ? cell : cell + '\t'.repeat(Math.ceil((width - [...cell].length) / tabWidth))
}

/** For each row the widths of its padded cells: all but the last. */
function columnWidths(rows: readonly (readonly string[])[]): number[][] {
  const widths: number[][] = rows.map(() => [])
  const deepest = Math.max(0, ...rows.map((row) => row.length - 1))
  for (let column = 0; column < deepest; column += 1) {
    for (let start = 0; start < rows.length; ) {
      let end = start
      let width = 0
      for (; end < rows.length; end += 1) {
        const row = rows[end]
        if (!row || row.length - 1 <= column) break
        const length = [...(row[column] ?? '')].length
        width = Math.max(width, (Math.floor(length / tabWidth) + 1) * tabWidth)
      }
      for (let row = start; row < end; row += 1) widths[row]?.push(width)
      start = end + 1
    }
  }
  return widths
}
