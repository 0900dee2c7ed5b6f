export default function Run(_: { space: string; id: string }) { return null }
