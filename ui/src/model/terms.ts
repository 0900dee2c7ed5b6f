// The query box's text, split just far enough to hand known fields to endpoints that take
// them as parameters. The whole language is the server's; what is left over is told to the person.

export type Terms = { fields: Map<string, string>; words: string[]; rest: string[] }

const token = /(-|NOT\s+)?([A-Za-z_][\w.]*):("(?:[^"\\]|\\.)*"|\S+)|"((?:[^"\\]|\\.)*)"|(\S+)/g

const unquote = (s: string) => (s.length > 1 && s.startsWith('"') && s.endsWith('"') ? s.slice(1, -1).replaceAll(/\\(.)/g, '$1') : s)

/** Fields named in known, free words, and all terms that are neither. */
export function split(q: string, known: readonly string[]): Terms {
  const out: Terms = { fields: new Map(), words: [], rest: [] }
  for (const m of q.matchAll(token)) {
    const [whole, not, field, value, quoted, word] = m
    if (field !== undefined && value !== undefined) {
      const plain = unquote(value)
      const single = !not && !out.fields.has(field) && !/[*(<>]|\.\./.test(plain)
      if (single && known.includes(field)) out.fields.set(field, plain)
      else out.rest.push(whole)
    } else if (word === 'OR' || word === 'AND' || word === 'NOT' || /^[()-]/.test(word ?? '')) {
      out.rest.push(whole)
    } else {
      out.words.push(unquote(quoted ?? word ?? ''))
    }
  }
  return out
}

/** True when every word occurs in the text, whatever the case. */
export function hasWords(words: readonly string[], text: string): boolean {
  const low = text.toLowerCase()
  return words.every((w) => low.includes(w.toLowerCase()))
}

/** Writes one field of a query anew, leaving the rest; '' removes it. */
export function withField(q: string, field: string, value: string): string {
  const rest = [...q.matchAll(token)].filter((m) => m[2] !== field).map((m) => m[0])
  if (value) rest.push(`${field}:${/[\s"()]/.test(value) ? JSON.stringify(value) : value}`)
  return rest.join(' ')
}
