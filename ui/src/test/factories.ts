// Samples for the tests, in the API's shapes.
import type { AgentShape, SpanShape } from '../api/shape'
import { span } from '../model/map'
import type { SpanView } from '../model/view'

export const agentShape = (part: AgentShape = {}): AgentShape => ({
  space: 'main', id: 'w-1', state: 'running', show: 'running', first_ms: 1000, last_ms: 2000, ended: false,
  counts: { events: 3 }, usage: { input_tokens: 10, output_tokens: 5, cost_nanousd: 31_200_000, quality: 'lower_bound' },
  rate: { events_15m: [0, 1, 2], cost_nanousd_h: 1e9 }, ...part,
})

export const spanShape = (part: SpanShape = {}): SpanShape => ({
  space: 'main', span: 's', type: 'tool', name: 'Bash', agent: 'w-1', status: 'ok', open: false, start_ms: 1000, end_ms: 2000, dur_ms: 1000, ...part,
})

export const spanView = (part: SpanShape = {}): SpanView => span(spanShape(part))
