/**
 * Which address each node has. A node without one is local: it gets a loopback address of its own, so that one machine
 * can hold a whole cluster. On Linux all of 127.0.0.0/8 belongs to the machine without any setting up.
 */
import { networkInterfaces } from 'node:os'
import type { Draft } from './draft.ts'

/** 127.0.0.1 to .10 are left to whatever else listens on this machine. */
const FIRST = 11

/**
 * In order of writing: each node that has none keeps the one that it runs with (`running`), or gets the next one that is not taken.
 * So a node that is added or removed does not move the others.
 */
export function assignAddresses(
  draft: Draft,
  running: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, string> {
  const written = new Set([...draft.nodes.values()].flatMap(({ address }) => address ?? []))
  const taken = new Set([...written, ...Object.values(running)])
  const addresses = new Map<string, string>()
  let next = FIRST
  for (const [name, { address }] of draft.nodes) {
    const kept = running[name]
    const known = address ?? (kept !== undefined && !written.has(kept) ? kept : undefined)
    while (known === undefined && taken.has(loopback(next))) next++
    addresses.set(name, known ?? loopback(next++))
  }
  return addresses
}

/** 11 → 127.0.0.11, and on past 255: 127.0.1.0, … */
function loopback(number: number): string {
  return `127.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
}

/** Does an address belong to this machine? The embedded store holds only one machine's agents together. */
export function isLocalAddress(address: string): boolean {
  if (address.startsWith('127.')) return true
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return own.some((entry) => entry.address === address)
}
