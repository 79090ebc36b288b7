/**
 * Sizes as written in configs and options: `512MiB`, `1.5GiB`, `10MB`; a bare number is bytes. KiB is 1,024 bytes, kB
 * is 1,000.
 */
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/** Whole bytes, or undefined when the text is not a size. Upper and lower case mean the same. */
export function parseSize(text: string | number): number | undefined {
  if (typeof text === 'number') return Number.isSafeInteger(text) && text >= 0 ? text : undefined
  const match = /^(\d+(?:\.\d+)?) ?(b|[kmg]i?b)$/i.exec(text.trim())
  if (!match) return undefined
  const bytes = Math.round(Number(match[1]) * (UNITS[(match[2] as string).toLowerCase()] as number))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** For output: `640 B`, `12 KiB`, `1.5 MiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** step
  return `${step === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[step]}`
}
