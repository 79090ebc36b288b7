import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endsInMs, killAt, leaseGranted, leaseRenewed, renewEveryMs } from './lease.ts'

describe('lease', () => {
  it('ends for its holder no later than for the store, however long request and reply took', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.nat(5_000),
        fc.nat(5_000),
        fc.integer({ min: 500, max: 60_000 }),
        (sentAt, there, back, ttlMs) => {
          const handledAt = sentAt + there
          const lease = leaseGranted({ id: 'x', ttlMs }, sentAt)
          expect(lease.endsAt).toBeLessThanOrEqual(handledAt + ttlMs)
          const again = leaseRenewed(lease, handledAt + back)
          expect(again.endsAt).toBe(handledAt + back + ttlMs)
        },
      ),
    )
  })

  it('is never shortened by a renewal that was overtaken', () => {
    const lease = leaseGranted({ id: 'x', ttlMs: 2_000 }, 1_000)
    expect(leaseRenewed(lease, 500).endsAt).toBe(3_000)
  })

  it('leaves time to kill before its end and several tries to renew before that', () => {
    const long = leaseGranted({ id: 'x', ttlMs: 2_000 }, 0)
    expect(killAt(long)).toBe(1_750)
    const short = leaseGranted({ id: 'x', ttlMs: 500 }, 0)
    expect(killAt(short)).toBe(375)
    for (const lease of [long, short]) expect(renewEveryMs(lease) * 3).toBeLessThanOrEqual(killAt(lease))
  })

  it('counts down to nothing and not below', () => {
    const lease = leaseGranted({ id: 'x', ttlMs: 2_000 }, 0)
    expect([endsInMs(lease, 500), endsInMs(lease, 2_000), endsInMs(lease, 9_000)]).toEqual([1_500, 0, 0])
  })
})
