/**
 * Carries the logical replication slots of users to the standbys: looks once a second, at itself and at the primary, and does what
 * logical-slots.ts decides. On a standby it drops what is stale, advances what is there, and asks for a copy of what is not.
 *
 * A server reads the files of its slots when it starts and at no other time. So a copy is a restart of the standby, once for all
 * slots that are new. One standby at a time: a lock on the primary says whose turn it is, and is released with the connection that has it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import type { Cancel } from '../../../lib/clock.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { mayReceive } from '../files/durable-record.ts'
import { slotName } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { destroy, localClient, type Row, remoteClient, within } from '../server/admin-session.ts'
import { logState } from '../server/replica-position.ts'
import { formatLsn } from '../server/wal-position.ts'
import {
  decideSlots,
  decodes,
  type SlotDecision,
  type SlotSight,
  slotFromRow,
  slotsNotCarried,
} from './logical-slots.ts'
import { copySlots } from './slot-copy.ts'
import { hasSnapshot, keepSlotMemory, oldestWalIn, readSlotMemory } from './slot-files.ts'
import { dropSlots, SLOTS } from './user-slots.ts'

const LOOK_EVERY_MS = 1_000
/** Without logical decoding in the config there should be none: looked at to say so. */
const SELDOM_MS = 10_000
/** Advancing reads the WAL from the oldest transaction that was open: what takes long is not done all the time. */
const REST_FACTOR = 10
const COPIED_AGAIN_MS = 60_000
const ADVANCE_WITHIN_MS = 60_000

export class SlotCarrier {
  readonly #replica: Replica
  readonly #restart: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>
  readonly #told: (note: string) => void
  #bounds: ReadonlyMap<string, number> = new Map()
  /** When each slot was last copied: one that does not stay must not restart the standby again and again. */
  readonly #copiedAt = new Map<string, number>()
  /** In which term what is told was seen. */
  #seenTerm = 0
  /** Whom the bounds are of. */
  #term = 0
  #cancel: Cancel = () => {}
  #closed = false

  /** `restart` runs work that restarts the standby, in turn with the verbs; `told` gets a note for the status, mostly empty. */
  constructor(
    replica: Replica,
    restart: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>,
    told: (note: string) => void,
  ) {
    this.#replica = replica
    this.#restart = restart
    this.#told = told
  }

  /** Until it has been looked at under the primary that it follows now, no slot here is known to be right. */
  get isUnknown(): boolean {
    const { following } = this.#replica.record
    return following !== null && this.#isConfigured && this.#seenTerm !== following.quorum.term
  }

  start(): void {
    this.#next(LOOK_EVERY_MS)
  }

  stop(): void {
    this.#closed = true
    this.#cancel()
  }

  #next(afterMs: number): void {
    if (this.#closed) return
    this.#cancel = this.#replica.parts.clock.after(afterMs, () => {
      const beganAt = this.#replica.parts.clock.mono()
      void this.#look()
        .catch(() => {}) // one of the two servers does not answer: looked at again
        .finally(() => {
          const tookMs = this.#replica.parts.clock.mono() - beganAt
          this.#next(Math.max(this.#isConfigured ? LOOK_EVERY_MS : SELDOM_MS, REST_FACTOR * tookMs))
        })
    })
  }

  get #isConfigured(): boolean {
    return decodes(this.#replica.parts.options.settings)
  }

  async #look(): Promise<void> {
    const replica = this.#replica
    const { leading, following } = replica.record
    if (!replica.runs) return this.#told('')
    if (leading) return this.#lookAsPrimary()
    if (following && mayReceive(replica.record) && this.#isConfigured) return this.#lookAsStandby(following.primary)
    this.#told('')
  }

  async #lookAsPrimary(): Promise<void> {
    const { parts, watcher, record } = this.#replica
    const slots = (await watcher.query(SLOTS)).map((row) => slotFromRow(row.slot as Row))
    if (!record.leading) return
    const names = slots.filter(({ temporary }) => !temporary).map(({ name }) => name)
    keepSlotMemory(parts.folder, { ours: names.toSorted(), ready: names.toSorted() })
    const lacking = slotsNotCarried(slots, parts.binaries.version, this.#isConfigured)
    this.#told(lacking.length === 0 ? '' : `logical slots that no standby takes over: ${lacking.join(', ')}`)
  }

  async #lookAsStandby(primary: PrimaryAddress): Promise<void> {
    const replica = this.#replica
    const { clock, options, replicationPassword } = replica.parts
    const term = replica.record.following?.quorum.term ?? 0
    if (term !== this.#term) this.#bounds = new Map()
    this.#term = term
    const client = remoteClient(primary, replicationPassword)
    try {
      await within(clock, options.timing.statementMs, 'the primary', client.connect())
      const sight = await this.#sight(client)
      if (!sight || replica.record.following?.quorum.term !== term) return
      const decision = decideSlots(sight)
      this.#bounds = decision.bounds
      keepSlotMemory(replica.parts.folder, decision.memory)
      const { lacks } = decision
      this.#seenTerm = term
      this.#told(lacks.length === 0 ? '' : `logical slots that this standby does not have yet: ${lacks.join(', ')}`)
      await this.#act(decision, client)
    } finally {
      destroy(client)
    }
  }

  /** Null: it is not the primary of the term that is followed. */
  async #sight(client: pg.Client): Promise<SlotSight | null> {
    const { parts, watcher, record } = this.#replica
    const { clock, options, folder, binaries } = parts
    const ask = (text: string) => within(clock, options.timing.statementMs, 'the primary', client.query(text))
    const facts = (
      await ask(`select pg_is_in_recovery() as recovery, current_setting('understudy.term', true) as term,
        (select catalog_xmin::text from pg_replication_slots where slot_name = '${slotName(parts.node)}') as held`)
    ).rows[0] as Row
    if (facts.recovery !== false || Number(facts.term) !== record.following?.quorum.term) return null
    const there = ((await ask(SLOTS)).rows as Row[]).map((row) => slotFromRow(row.slot as Row))
    const here = (await watcher.query(SLOTS)).map((row) => slotFromRow(row.slot as Row))
    const state = await logState(watcher)
    const plugins = there.length === 0 ? null : ((await watcher.one(PLUGIN_FOLDER)).path as string | null)
    return {
      version: binaries.version,
      there,
      here,
      heldXmin: typeof facts.held === 'string' ? Number(facts.held) : null,
      replayed: state.replayed,
      oldestWal: oldestWalIn(folder.data, state.segmentBytes),
      rooted: here.filter(({ restart }) => hasSnapshot(folder.data, restart)).map(({ name }) => name),
      missingPlugins: plugins === null ? [] : there.map((slot) => slot.plugin).filter(isMissingIn(plugins)),
      memory: readSlotMemory(folder),
      bounds: this.#bounds,
    }
  }

  async #act({ drop, advance, copy }: SlotDecision, primary: pg.Client): Promise<void> {
    await dropSlots(this.#replica, drop)
    const databases = [...new Set(advance.map(({ database }) => database))]
    for (const database of databases) {
      await advanceIn(
        this.#replica,
        database,
        advance.filter((one) => one.database === database),
      )
    }
    const now = this.#replica.parts.clock.mono()
    const due = copy.filter((name) => now - (this.#copiedAt.get(name) ?? Number.NEGATIVE_INFINITY) > COPIED_AGAIN_MS)
    if (due.length === 0) return
    await this.#restart(async (signal) => {
      if (await copySlots(this.#replica, primary, due, signal)) for (const name of due) this.#copiedAt.set(name, now)
    })
  }
}

/** Where the server looks for plugins; null: the operator has it look elsewhere as well. */
const PLUGIN_FOLDER = `select case when current_setting('dynamic_library_path') = '$libdir' then setting end as path
  from pg_config where name = 'PKGLIBDIR'`

const isMissingIn = (folder: string) => (plugin: string) => !existsSync(join(folder, `${plugin}.so`))

/** Only a session of the slot's own database may move it. */
async function advanceIn(
  replica: Replica,
  database: string,
  slots: readonly { readonly name: string; readonly to: bigint }[],
): Promise<void> {
  const { clock } = replica.parts
  const client = localClient(replica.socket, database)
  try {
    await within(clock, 2_000, 'a connection', client.connect())
    for (const { name, to } of slots) {
      const text = 'select pg_replication_slot_advance($1, $2::pg_lsn)'
      await within(clock, ADVANCE_WITHIN_MS, `slot ${name}`, client.query(text, [name, formatLsn(to)]))
    }
  } finally {
    destroy(client)
  }
}
