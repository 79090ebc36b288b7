import { expect, test } from 'vitest'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import type { Replica } from '../replica.ts'
import { replicaReport, type ServerLook } from './observe-server.ts'

const QUORUM: QuorumConfig = { term: 2, primary: 'b', standbys: ['c'], k: 1, id: '2-b' }
const SIGHT: ServerLook = {
  inRecovery: true,
  position: { term: 1, timeline: 1, log: '7' },
  replayLagBytes: 0,
  streaming: [],
  receives: false,
  quorum: null,
  unfit: null,
}

function reported(leading: QuorumConfig | null, sight: Partial<ServerLook> = {}) {
  const record = { pledged: 2, leading, following: null, quarantinedUntil: null, suspect: false }
  const replica = { record, durable: null, quorumDurable: false, runs: true } as unknown as Replica
  return replicaReport(replica, { ...SIGHT, ...sight }, undefined, undefined)
}

test('a replica that was elected and not promoted before its agent or server ended is still recruited', () => {
  expect(reported(QUORUM)).toMatchObject({ pledged: 2, recruited: true, position: SIGHT.position })
})

test('a primary, and a standby that was not elected, are not', () => {
  expect(reported(QUORUM, { inRecovery: false }).recruited).toBe(false)
  expect(reported(null).recruited).toBe(false)
  expect(reported(QUORUM, { receives: true }).recruited).toBe(false)
})
