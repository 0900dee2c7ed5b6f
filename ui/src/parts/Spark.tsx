import { memo } from 'react'

const w = 60
const h = 16

/** Bars as one path; heights are relative to the row's own maximum. Zero keeps a hairline, so that "nothing happened" is not "no data". */
export function sparkPath(values: readonly number[]): string {
  const max = Math.max(...values, 0)
  const step = w / values.length
  return values
    .map((v, i) => {
      const tall = max > 0 && v > 0 ? Math.max(2, (v / max) * h) : 0.75
      const x = (i * step + 0.5).toFixed(2)
      return `M${x} ${h}v${(-tall).toFixed(2)}h${(step - 1).toFixed(2)}v${tall.toFixed(2)}z`
    })
    .join('')
}

export const Spark = memo(function Spark({ values, label }: { values: readonly number[]; label: string }) {
  if (values.length === 0) return <span className="faint small">no data</span>
  return (
    <svg className="spark" width={w} height={h} viewBox={`0 0 ${w} ${h}`} role="img" aria-label={label}>
      <path d={sparkPath(values)} fill="currentColor" />
    </svg>
  )
})
