/** Columns aligned by spaces; numbers to the right. */
export function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [heads, ...rows.map((row) => row.map(String))]
  const widths = heads.map((_, c) => Math.max(...cells.map((row) => row[c]!.length)))
  const isNumber = heads.map((_, c) => rows.length > 0 && rows.every((row) => typeof row[c] === 'number'))
  return cells
    .map((row) =>
      row
        .map((cell, c) => (isNumber[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
