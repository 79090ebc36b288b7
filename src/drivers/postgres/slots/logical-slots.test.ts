import { describe, expect, test } from 'vitest'
import {
  confirmingStandbys,
  decideSlots,
  decodes,
  type LogicalSlot,
  NO_SLOTS,
  precedes,
  type SlotSight,
  slotFromRow,
  slotsNotCarried,
  unsafeSlots,
} from './logical-slots.ts'

function slot(change: Partial<LogicalSlot> = {}): LogicalSlot {
  return {
    name: 'feed',
    database: 'shop',
    plugin: 'test_decoding',
    temporary: false,
    active: false,
    twoPhase: false,
    failover: false,
    synced: false,
    confirmed: 2_000n,
    restart: 1_000n,
    catalogXmin: 700,
    lost: false,
    ...change,
  }
}

function sight(change: Partial<SlotSight> = {}): SlotSight {
  return {
    version: 15,
    there: [slot()],
    here: [],
    heldXmin: null,
    replayed: 5_000n,
    oldestWal: 0n,
    rooted: ['feed'],
    missingPlugins: [],
    memory: NO_SLOTS,
    bounds: new Map(),
    ...change,
  }
}

describe('slots that are copied, before version 17', () => {
  test('a slot that is not here is copied, and is not ready', () => {
    const { copy, memory, lacks } = decideSlots(sight())
    expect(copy).toEqual(['feed'])
    expect(memory.ready).toEqual([])
    expect(lacks).toEqual(['feed (not copied yet)'])
  })

  test('a slot is not copied while it needs WAL that this standby does not have', () => {
    const { copy, lacks } = decideSlots(sight({ oldestWal: 1_001n }))
    expect(copy).toEqual([])
    expect(lacks[0]).toMatch(/feed \(this standby does not have the WAL that it needs any more/)
  })

  test('a slot of a plugin that is not installed here is named and not copied', () => {
    const { copy, lacks } = decideSlots(sight({ missingPlugins: ['test_decoding'] }))
    expect(copy).toEqual([])
    expect(lacks).toEqual(['feed (its plugin test_decoding is not installed here)'])
  })

  test('temporary slots, lost ones and those that are being made are not copied', () => {
    for (const change of [{ temporary: true }, { lost: true }, { confirmed: null }]) {
      expect(decideSlots(sight({ there: [slot(change)] })).copy).toEqual([])
    }
  })

  test('a slot is advanced to what its consumer has confirmed, and never past what is replayed here', () => {
    const here = [slot({ confirmed: 1_500n })]
    expect(decideSlots(sight({ here })).advance).toEqual([{ name: 'feed', database: 'shop', to: 2_000n }])
    expect(decideSlots(sight({ here, replayed: 1_800n })).advance[0]?.to).toBe(1_800n)
    expect(decideSlots(sight({ here, replayed: 1_500n })).advance).toEqual([])
    expect(decideSlots(sight({ here: [slot({ confirmed: 2_500n })] })).advance).toEqual([])
  })

  test('it is ready when rows are held back for it, and it has passed what the primary held back at that moment', () => {
    const here = [slot({ catalogXmin: 690 })]
    expect(decideSlots(sight({ here, heldXmin: null })).memory.ready).toEqual([])
    expect(decideSlots(sight({ here, heldXmin: 695 })).memory.ready).toEqual([]) // held back from later than it needs
    const first = decideSlots(sight({ here, heldXmin: 690 }))
    expect(first.memory.ready).toEqual([])
    expect(first.bounds).toEqual(new Map([['feed', 700]]))
    // The primary's own slot moves on: what counts is what it held back when rows began to be held back for this standby.
    const later = { there: [slot({ catalogXmin: 720 })], heldXmin: 690, bounds: first.bounds }
    expect(decideSlots(sight({ ...later, here: [slot({ catalogXmin: 699 })] })).memory.ready).toEqual([])
    const passed = decideSlots(sight({ ...later, here: [slot({ catalogXmin: 700 })] }))
    expect(passed.memory).toEqual({ ours: ['feed'], ready: ['feed'] })
    expect(passed.lacks).toEqual([])
  })

  test('it is not ready while the snapshot that decoding begins with is not here', () => {
    const held = { here: [slot()], heldXmin: 700 }
    expect(decideSlots(sight(held)).memory.ready).toEqual(['feed'])
    const unrooted = decideSlots(sight({ ...held, rooted: [], memory: { ours: ['feed'], ready: ['feed'] } }))
    expect(unrooted.memory.ready).toEqual([])
    expect(unrooted.lacks[0]).toMatch(/feed \(decoding has no point here yet/)
  })

  test('what was ready stays so for the next agent, and no longer than rows are held back', () => {
    const memory = { ours: ['feed'], ready: ['feed'] }
    const here = [slot({ catalogXmin: 690 })]
    expect(decideSlots(sight({ here, heldXmin: 690, memory })).memory.ready).toEqual(['feed'])
    expect(decideSlots(sight({ here, heldXmin: null, memory })).memory.ready).toEqual([])
  })

  test('a slot that lost its WAL here, or is of another kind, is dropped, to be copied anew', () => {
    for (const change of [{ lost: true }, { plugin: 'pgoutput' }, { database: 'other' }, { twoPhase: true }]) {
      const { drop, copy } = decideSlots(sight({ here: [slot(change)] }))
      expect({ drop, copy }).toEqual({ drop: ['feed'], copy: [] })
    }
  })

  test('a slot that the primary does not have any more is dropped, once no consumer uses it', () => {
    const gone = { there: [], here: [slot()] }
    expect(decideSlots(sight(gone)).drop).toEqual(['feed'])
    expect(decideSlots(sight({ ...gone, here: [slot({ active: true })] })).drop).toEqual([])
  })

  test('on version 16 a slot that a user made on the standby is left alone', () => {
    const own = { version: 16, there: [], here: [slot()] }
    expect(decideSlots(sight(own)).drop).toEqual([])
    expect(decideSlots(sight({ ...own, memory: { ours: ['feed'], ready: [] } })).drop).toEqual(['feed'])
    expect(unsafeSlots([slot()], 16, NO_SLOTS)).toEqual([])
  })
})

describe('slots that PostgreSQL synchronises, from version 17 on', () => {
  const there = [slot({ failover: true })]

  test('one that is synchronised is carried; until then it is named', () => {
    const of = (here: LogicalSlot[]) => decideSlots(sight({ version: 17, there, here }))
    expect(of([slot({ failover: true, synced: true })]).lacks).toEqual([])
    expect(of([slot({ failover: true, synced: true, temporary: true })]).lacks[0]).toMatch(/not synchronised yet/)
    expect(of([]).lacks[0]).toMatch(/not synchronised yet/)
    expect(of([slot({ failover: true, synced: true, lost: true })]).lacks[0]).toMatch(/lost what it needs/)
  })

  test('what is left from a time as primary is dropped: it is stale, and would keep PostgreSQL from synchronising', () => {
    const own = slot({ failover: true })
    expect(decideSlots(sight({ version: 17, there, here: [own] })).drop).toEqual(['feed'])
    const plain = slot({ name: 'plain' })
    const memory = { ours: ['plain'], ready: ['plain'] }
    expect(decideSlots(sight({ version: 17, there, here: [plain], memory })).drop).toEqual(['plain'])
    expect(decideSlots(sight({ version: 17, there, here: [plain] })).drop).toEqual([])
  })
})

test('before a promotion only slots that are known to be right stay', () => {
  const [right, copied, synced] = [slot({ name: 'right' }), slot({ name: 'copied' }), slot({ name: 's', synced: true })]
  expect(unsafeSlots([right, copied, synced], 15, { ours: ['right', 'copied'], ready: ['right'] })).toEqual(['copied'])
  expect(unsafeSlots([right], 15, NO_SLOTS)).toEqual(['right'])
  // A primary that leads again before it has followed another one: its slots are the newest that there are.
  expect(unsafeSlots([slot({ failover: true })], 17, { ours: ['feed'], ready: ['feed'] })).toEqual([])
  expect(unsafeSlots([slot({ failover: true })], 17, NO_SLOTS)).toEqual(['feed'])
})

test('what no standby takes over is named with the reason', () => {
  const slots = [slot({ name: 't', temporary: true }), slot({ name: 'l', lost: true }), slot()]
  expect(slotsNotCarried(slots, 15, true)).toEqual(['t (temporary)', 'l (it lost the WAL that it needs)'])
  expect(slotsNotCarried([slot()], 15, false)[0]).toMatch(/wal_level/)
  expect(slotsNotCarried([slot()], 17, true)).toEqual(['feed (made without failover = true)'])
  expect(slotsNotCarried([slot({ failover: true })], 17, true)).toEqual([])
})

test('a consumer waits for the standbys that stream, and for all of them while too few do', () => {
  const rule = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'r' }
  expect(confirmingStandbys(rule, ['b', 'c', 'x'])).toEqual(['b', 'c'])
  expect(confirmingStandbys(rule, ['c'])).toEqual(['c'])
  expect(confirmingStandbys(rule, [])).toEqual(['b', 'c'])
  expect(confirmingStandbys(rule, null)).toEqual(['b', 'c'])
  expect(confirmingStandbys({ ...rule, standbys: [], k: 0 }, [])).toEqual([])
  expect(confirmingStandbys(null, ['b'])).toEqual([])
})

test('transaction numbers go round', () => {
  expect(precedes(1, 2)).toBe(true)
  expect(precedes(2, 2)).toBe(false)
  expect(precedes(4_294_967_290, 5)).toBe(true)
  expect(precedes(5, 4_294_967_290)).toBe(false)
})

test('rows of every version are read', () => {
  const row = { slot_name: 's', database: 'd', plugin: 'p', temporary: false, active: true, wal_status: 'reserved' }
  const old = slotFromRow({ ...row, restart_lsn: '0/10', confirmed_flush_lsn: '1/0', catalog_xmin: '12' })
  expect(old).toMatchObject({ restart: 16n, confirmed: 4_294_967_296n, catalogXmin: 12, failover: false, lost: false })
  expect(slotFromRow({ ...row, invalidation_reason: 'rows_removed' }).lost).toBe(true)
  expect(slotFromRow({ ...row, wal_status: 'lost' }).lost).toBe(true)
})

test('logical decoding is what the config says last, in any case', () => {
  expect(decodes({ wal_level: 'logical' })).toBe(true)
  expect(decodes({ WAL_Level: 'LOGICAL' })).toBe(true)
  expect(decodes({ wal_level: 'logical', Wal_Level: 'replica' })).toBe(false)
  expect(decodes({})).toBe(false)
})
