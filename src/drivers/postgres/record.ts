/**
 * What a member must not forget, in one small file that is on the disk before anything is done or said because of it:
 * what it has promised, whom it may receive from, what it leads, and under which terms it got what it has.
 *
 * A member that has pledged term t helps nobody of a lower term. `following` is empty from the pledge on, so an agent or a
 * server that is restarted in the middle of a failover comes up receiving from nobody (failover.md, trap 7).
 */
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Rule } from '../../core/replica.ts'
import { readJson, writeFileAtomic } from '../../lib/files.ts'
import type { PrimaryAddress } from '../replica.ts'
import type { Branch } from './position.ts'

export interface MemberRecord {
  readonly pledged: number
  readonly port: number | null
  /** Whom it may receive from; null: nobody. */
  readonly following: Following | null
  /** What it leads under or was on its way to lead under; null: it leads nothing. */
  readonly leading: Rule | null
  readonly lineage: readonly Branch[]
  /** It led until it was fenced, so it may hold what nobody acknowledged: nobody may read from it before that is settled. */
  readonly suspect: boolean
  /** Rewound or cloned, and not to be counted before it has this much of the log; null: it counts. */
  readonly quarantinedUntil: string | null
  /** A rewind began and has not ended: the pages are of two histories, no server may run on them, and only a copy helps. */
  readonly torn: boolean
  /** About the last divergence: what was given up and where it is kept. */
  readonly discarded: string | null
}

export interface Following {
  readonly rule: Rule
  readonly primary: PrimaryAddress
}

const BLANK: MemberRecord = {
  pledged: 0,
  port: null,
  following: null,
  leading: null,
  lineage: [],
  suspect: false,
  quarantinedUntil: null,
  torn: false,
  discarded: null,
}

export class RecordFile {
  readonly #path: string
  #record: MemberRecord

  constructor(path: string) {
    this.#path = path
    this.#record = BLANK
  }

  get now(): MemberRecord {
    return this.#record
  }

  load(): MemberRecord {
    const read = readJson(this.#path)
    this.#record = typeof read === 'object' && read !== null ? { ...BLANK, ...(read as Partial<MemberRecord>) } : BLANK
    return this.#record
  }

  /** On the disk when it returns, the name of the file included. */
  change(change: Partial<MemberRecord>): void {
    const next = { ...this.#record, ...change }
    if (JSON.stringify(next) === JSON.stringify(this.#record)) return
    writeFileAtomic(this.#path, `${JSON.stringify(next, null, 2)}\n`)
    const folder = openSync(dirname(this.#path), 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
    this.#record = next
  }
}

/** May it receive from anybody? */
export function mayReceive(record: MemberRecord): boolean {
  return record.following !== null && record.following.rule.term >= record.pledged
}
