export default function Run(p: { space: string; id: string }) { return p.id }
