/** Fetches the state files of logical slots from the primary, and starts a standby with them: see slot-carrier.ts. */
import type pg from 'pg'
import { sleep } from '../../../lib/clock.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { mayReceive } from '../files/durable-record.ts'
import type { Replica } from '../replica.ts'
import { destroy, type Row, remoteClient, within } from '../server/admin-session.ts'
import { checkpoint } from '../verbs/promote-server.ts'
import { decodes, type LogicalSlot, SYNCHRONISES_SLOTS, slotFromRow } from './logical-slots.ts'
import {
  doubtSlots,
  oldestWalIn,
  placeSlot,
  removeSlotFiles,
  restartIn,
  type SlotState,
  snapshotOf,
} from './slot-files.ts'
import { SLOTS } from './user-slots.ts'

/** Any number that applications are unlikely to lock. */
const TURN = 7_306_915_024_881

/** Fetches the state of these slots and starts the standby with them. False: it was not its turn, or there is nothing to fetch. */
export async function copySlots(
  replica: Replica,
  primary: pg.Client,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const { clock, options } = replica.parts
  if (!replica.runs || !mayReceive(replica.record)) return false
  const ask = (text: string) => within(clock, options.timing.statementMs, 'the primary', primary.query(text))
  const turn = (await ask(`select pg_try_advisory_lock(${TURN}) as mine`)).rows[0] as Row
  if (turn.mine !== true) return false
  const states = await readStates(names, async (text) => (await ask(text)).rows[0] as Row | undefined)
  if (states.size === 0) return false
  await checkpoint(replica) // the restart has less to write then, and a standby that is away confirms nothing
  signal.throwIfAborted()
  await replica.end('fast', 10_000, 'restarted to take over logical slots')
  signal.throwIfAborted()
  await startWith(replica, states, signal)
  await untilItReceives(replica, signal)
  return true
}

/** The next standby's turn is when this one confirms again. */
async function untilItReceives(replica: Replica, signal: AbortSignal): Promise<void> {
  const { clock, options } = replica.parts
  const untilMs = clock.mono() + options.timing.promoteMs
  while (clock.mono() < untilMs && replica.runs) {
    const [row] = await replica.session.query("select 1 from pg_stat_wal_receiver where status = 'streaming'")
    if (row) return
    await sleep(clock, 20)
    signal.throwIfAborted()
  }
}

async function startWith(replica: Replica, states: ReadonlyMap<string, SlotState>, signal: AbortSignal): Promise<void> {
  const { folder, tell } = replica.parts
  for (const [name, state] of states) placeSlot(folder, name, state)
  try {
    await replica.start(signal)
  } catch (error) {
    if (replica.runs) throw error // it only takes its time
    removeSlotFiles(folder.data, [...states.keys()])
    tell(`logical slots were not taken over: ${error instanceof Error ? error.message : String(error)}`)
    await replica.start(signal)
  }
}

/** As the primary has them on its disk: of an older moment at worst, from where they are advanced. */
async function readStates(
  names: readonly string[],
  ask: (text: string) => Promise<Row | undefined>,
): Promise<ReadonlyMap<string, SlotState>> {
  const read = async (path: string) => {
    const text = `select encode(pg_read_binary_file('${path}'), 'hex') as bytes where (pg_stat_file('${path}', true)).size > 0`
    const row = await ask(text)
    return typeof row?.bytes === 'string' ? Buffer.from(row.bytes, 'hex') : null
  }
  const states = new Map<string, SlotState>()
  for (const name of names.filter((one) => /^[a-z0-9_]+$/.test(one))) {
    const state = await read(`pg_replslot/${name}/state`)
    if (state) states.set(name, { state, snapshot: await read(snapshotOf(restartIn(state))) })
  }
  return states
}

/** Before a server that has just been rewound or cloned starts: with the slots of its primary, that is one restart less. */
export async function bringSlots(replica: Replica, primary: PrimaryAddress): Promise<void> {
  const { clock, options, folder, binaries, replicationPassword } = replica.parts
  doubtSlots(folder)
  if (replica.runs || binaries.version >= SYNCHRONISES_SLOTS || !decodes(options.settings)) return
  const client = remoteClient(primary, replicationPassword)
  const ask = (text: string) => within(clock, options.timing.statementMs, 'the primary', client.query(text))
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    const slots = ((await ask(SLOTS)).rows as Row[]).map((row) => slotFromRow(row.slot as Row))
    const oldest = oldestWalIn(folder.data, segmentOf((await ask('show wal_segment_size')).rows[0] as Row))
    const names = slots.filter((slot) => mayBeBrought(slot, oldest)).map(({ name }) => name)
    for (const [name, state] of await readStates(names, async (text) => (await ask(text)).rows[0] as Row)) {
      placeSlot(folder, name, state)
    }
  } finally {
    destroy(client)
  }
}

function mayBeBrought({ temporary, lost, confirmed, restart }: LogicalSlot, oldestWal: bigint): boolean {
  return !temporary && !lost && confirmed !== null && (restart ?? 0n) >= oldestWal
}

function segmentOf(row: Row): bigint {
  const [, count, unit] = /^(\d+)(MB|GB)$/.exec(String(row.wal_segment_size)) ?? []
  return BigInt(count ?? 16) * (unit === 'GB' ? 1_073_741_824n : 1_048_576n)
}
