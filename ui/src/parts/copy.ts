// Rows as text for the clipboard.

export type Field<T> = { title: string; text: (row: T) => string; value?: (row: T) => unknown }

const cell = (s: string) => s.replaceAll(/[\t\r\n]+/g, ' ')

export function tsv<T>(fields: readonly Field<T>[], rows: readonly T[]): string {
  const lines = [fields.map((f) => cell(f.title)).join('\t')]
  for (const row of rows) lines.push(fields.map((f) => cell(f.text(row))).join('\t'))
  return lines.join('\n') + '\n'
}

export function json<T>(fields: readonly Field<T>[], rows: readonly T[]): string {
  return JSON.stringify(rows.map((row) => Object.fromEntries(fields.map((f) => [f.title, f.value ? f.value(row) : f.text(row)]))), null, 2) + '\n'
}

/** Puts text on the clipboard; pages without a secure context have only the old way. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.className = 'hidden'
    document.body.append(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}
