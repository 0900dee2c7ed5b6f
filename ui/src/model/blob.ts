// Values that are kept apart: {"$blob": SHA-256, size, type} in place of a value.

import { bytes } from './format'

export type BlobName = { sum: string; size: number | null; type: string }

const blobsMax = 64

/** The blobs that a value names, at any depth, in order, each once. */
export function blobsIn(value: unknown): BlobName[] {
  const found = new Map<string, BlobName>()
  const look = (v: unknown, depth: number) => {
    if (v === null || typeof v !== 'object' || depth > 16 || found.size >= blobsMax) return
    if (!Array.isArray(v)) {
      const { $blob: sum, size, type } = v as { $blob?: unknown; size?: unknown; type?: unknown }
      if (typeof sum === 'string' && /^[0-9a-f]{64}$/.test(sum) && !found.has(sum)) {
        found.set(sum, { sum, size: typeof size === 'number' && size >= 0 ? size : null, type: typeof type === 'string' ? type : '' })
      }
    }
    for (const x of Object.values(v)) look(x, depth + 1)
  }
  look(value, 0)
  return [...found.values()]
}

/** What stands for a blob where there is one line for it. */
export function describe(b: BlobName): string {
  return (b.type || 'blob') + (b.size === null ? '' : ', ' + bytes(b.size))
}

/** How a browser can show a type without running anything of it. */
export function previewOf(type: string): 'image' | 'text' | null {
  const kind = type.split(';')[0]!.trim().toLowerCase()
  if (['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'].includes(kind)) return 'image'
  if (kind.startsWith('text/') || kind === 'application/json' || kind.endsWith('+json') || kind === 'application/x-ndjson') return 'text'
  return null
}
