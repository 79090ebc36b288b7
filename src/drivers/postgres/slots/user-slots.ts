/** Logical replication slots of users on a server that runs: which there are, and how those that may not stay are dropped. */

import type { NodeName } from '../../../core/model.ts'
import type { Replica } from '../replica.ts'
import type { Row } from '../server/admin-session.ts'
import { confirmingStandbys, decodes, SYNCHRONISES_SLOTS, slotFromRow, unsafeSlots } from './logical-slots.ts'
import { readSlotMemory } from './slot-files.ts'

/** One JSON object for each, because the columns differ from version to version. */
export const SLOTS = "select to_jsonb(slot) as slot from pg_replication_slots as slot where slot_type = 'logical'"

export async function dropSlots(replica: Replica, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await replica.session.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots
     where slot_name = any($1) and slot_type = 'logical' and not active`,
    [names],
  )
}

/** Before a promotion, in recovery: afterwards a slot that is not known to be right could be used. */
export async function dropUnsafeSlots(replica: Replica): Promise<void> {
  const { folder, options, binaries, tell } = replica.parts
  if (!decodes(options.settings)) return
  const here = (await replica.session.query(SLOTS)).map((row) => slotFromRow(row.slot as Row))
  const unsafe = unsafeSlots(here, binaries.version, readSlotMemory(folder))
  await dropSlots(replica, unsafe)
  if (unsafe.length > 0)
    tell(`logical slots dropped, because they were not known to be whole here: ${unsafe.join(', ')}`)
}

/** Consumers are to reconnect, and would otherwise hold up the end of a server until they have confirmed everything. */
export async function endConsumers(replica: Replica): Promise<void> {
  if (!decodes(replica.parts.options.settings)) return
  await replica.session.query(
    `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_type = 'logical' and active`,
  )
}

/** Segments that are left out: what remains of the one that recovery ended in, and a whole one. */
const LEAP_SEGMENTS = 2

/**
 * After a promotion, before anything else is written. Before version 17 a consumer may hold WAL that no standby had, and asks to go on
 * after it: what the new primary wrote at these positions would be skipped. So it begins to write further on.
 */
export async function leapForConsumers(replica: Replica): Promise<void> {
  const { options, binaries } = replica.parts
  if (binaries.version >= SYNCHRONISES_SLOTS || !decodes(options.settings)) return
  if ((await replica.session.query(SLOTS)).length === 0) return
  for (let left = LEAP_SEGMENTS; left > 0; left -= 1) {
    // A segment in which nothing stands yet is not left.
    await replica.session.query("select pg_logical_emit_message(false, 'understudy', ''), pg_switch_wal()")
  }
}

/** Who receives from it has changed: consumers of synchronised slots wait for these and no others. */
export function seeStreaming(replica: Replica, nodes: readonly NodeName[]): void {
  const { binaries, options } = replica.parts
  const { leading } = replica.record
  const before = confirmingStandbys(leading, replica.streaming)
  replica.streaming = nodes
  if (!replica.runs || leading === null || binaries.version < SYNCHRONISES_SLOTS || !decodes(options.settings)) return
  if (confirmingStandbys(leading, nodes).join() !== before.join()) replica.reload()
}
