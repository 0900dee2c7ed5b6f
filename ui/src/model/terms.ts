// Fields of the query box's text. The language is the server's; here a field is only read or written anew.

const token = /(-|NOT\s+)?([A-Za-z_][\w.]*):("(?:[^"\\]|\\.)*"|\S+)|"((?:[^"\\]|\\.)*)"|(\S+)/g

const unquote = (s: string) => (s.length > 1 && s.startsWith('"') && s.endsWith('"') ? s.slice(1, -1).replaceAll(/\\(.)/g, '$1') : s)

/** The one plain value that a field is asked to have; '' when there is none, several, or a pattern. */
export function fieldOf(q: string, field: string): string {
  const all = [...q.matchAll(token)]
  // Within OR or parentheses a field is only a part of the condition.
  if (all.some((m) => m[5] === 'OR' || /^[()]/.test(m[5] ?? ''))) return ''
  const own = all.filter((m) => m[2] === field)
  const value = own[0]?.[3]
  if (own.length !== 1 || own[0]?.[1] || value === undefined) return ''
  const plain = unquote(value)
  return /[*(<>,]|\.\./.test(plain) ? '' : plain
}

/** Writes one field of a query anew, leaving the rest; '' removes it. */
export function withField(q: string, field: string, value: string): string {
  const rest = [...q.matchAll(token)].filter((m) => m[2] !== field).map((m) => m[0])
  if (value) rest.push(`${field}:${/[\s"()]/.test(value) ? JSON.stringify(value) : value}`)
  return rest.join(' ')
}
