export default function Agent(_: { space: string; id: string }) { return null }
