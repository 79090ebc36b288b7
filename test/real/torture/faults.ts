/**
 * What can be done to a database. Each fault does its harm, holds it for a while, and returns how to heal what does not heal by
 * itself. Chance is an argument, so a seed repeats the choices; what the cluster makes of them is real and never the same twice.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { receiversOf } from '../../../src/drivers/postgres/server/postmaster.ts'
import { systemClock as clock, sleep } from '../../../src/lib/clock.ts'
import { signal } from '../../../src/lib/proc.ts'
import type { Random } from '../../../src/lib/random.ts'
import { until } from '../../../src/lib/until.ts'
import { serviceOf } from '../cluster.ts'
import { TEST_HOST } from './namespaces.ts'
import { NODES, type Place, SMALL } from './place.ts'

export interface Scene {
  readonly place: Place
  readonly random: Random
  readonly primary: string
  readonly standbys: readonly string[]
}

export interface Fault {
  readonly name: string
  readonly weight: number
  readonly needs?: 'cut' | 'small-disk'
  inject(scene: Scene): Promise<(() => Promise<void> | void) | void>
}

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9 the primary's postmaster",
    weight: 5,
    inject: async ({ place, primary }) => kill(place, primary),
  },
  {
    name: 'kill every process of the primary',
    weight: 2,
    inject: async ({ place, primary }) => {
      for (const one of place.servers(primary)) signal(one, 'SIGKILL')
    },
  },
  {
    name: "kill -9 a standby's postmaster",
    weight: 2,
    inject: async (scene) => kill(scene.place, someStandby(scene)),
  },
  {
    name: 'freeze every process of the primary',
    weight: 4,
    inject: async (scene) => freeze(scene, scene.primary, true),
  },
  {
    name: "freeze the primary's postmaster alone",
    weight: 2,
    inject: async (scene) => freeze(scene, scene.primary, false),
  },
  {
    name: 'freeze a standby',
    weight: 2,
    inject: async (scene) => freeze(scene, someStandby(scene), true),
  },
  {
    name: "lose the primary's node",
    weight: 4,
    inject: async (scene) => loseNode(scene, scene.primary),
  },
  {
    name: "lose a standby's node",
    weight: 2,
    inject: async (scene) => loseNode(scene, someStandby(scene)),
  },
  {
    name: "kill -9 the primary's agent",
    weight: 2,
    inject: async ({ place, primary }) => place.killAgent(primary),
  },
  {
    name: "kill -9 a standby's agent",
    weight: 1,
    inject: async (scene) => scene.place.killAgent(someStandby(scene)),
  },
  {
    name: 'kill -9 all agents, and the primary',
    weight: 1,
    inject: async ({ place, primary }) => {
      for (const node of NODES) place.killAgent(node)
      kill(place, primary)
    },
  },
  {
    // Its server serves on, its door leads there, and no agent can tell it that its term is over: the fence alone stands.
    name: "the primary's agent stays away",
    weight: 1,
    inject: async ({ place, primary, random }) => {
      place.killAgentForGood(primary)
      await sleep(clock, 12_000 + random() * 2_000)
      return () => place.startNode(primary)
    },
  },
  {
    name: "freeze the primary's agent",
    weight: 1,
    inject: async ({ place, primary }) => {
      const agent = place.agent(primary)
      if (agent) signal(agent, 'SIGSTOP') // its supervisor kills it and starts another
    },
  },
  {
    name: 'replay paused on both standbys, primary killed',
    weight: 2,
    inject: async (scene) => {
      for (const node of scene.standbys) await scene.place.ask(node, 'select pg_wal_replay_pause()')
      await sleep(clock, scene.random() * 500)
      kill(scene.place, scene.primary)
    },
  },
  {
    name: 'a query blocks replay on both standbys, primary killed',
    weight: 2,
    inject: queryConflict,
  },
  {
    name: 'commits cancelled while they wait',
    weight: 2,
    inject: cancelledCommits,
  },
  {
    name: 'commits cancelled while they wait, primary killed',
    weight: 2,
    inject: async (scene) => {
      const heal = await cancelledCommits(scene)
      kill(scene.place, scene.primary)
      return heal
    },
  },
  {
    name: 'kill -9 a sender of log',
    weight: 1,
    inject: async ({ place, primary, random }) => {
      const senders = await place.ask(primary, 'select pid from pg_stat_replication')
      const pid = Number(pick(senders, random).pid)
      if (pid > 1) process.kill(pid, 'SIGKILL') // the server ends all its sessions then, and we do not let it restart inside
    },
  },
  {
    name: 'kill -9 a receiver of log',
    weight: 1,
    inject: async (scene) => {
      const postmaster = scene.place.postmaster(someStandby(scene))
      for (const receiver of postmaster ? receiversOf(postmaster) : []) signal(receiver, 'SIGKILL')
    },
  },
  {
    name: 'switchover',
    weight: 3,
    inject: async ({ place, primary }) => {
      if ((await asked(place)) === 'refused') return
      const patience = { clock, everyMs: 50, withinMs: 8_000, what: 'another primary' }
      await until(patience, async () => (await primaryNow(place)) !== primary).catch(() => {}) // it may be called off
    },
  },
  {
    name: 'switchover, primary killed within it',
    weight: 2,
    inject: async ({ place, primary, random }) => {
      await asked(place)
      await sleep(clock, random() * 300)
      kill(place, primary)
    },
  },
  {
    name: "the primary's disk is full",
    weight: 3,
    needs: 'small-disk',
    inject: async (scene) => {
      if (scene.primary !== SMALL) await moveTo(scene, SMALL)
      return fillDisk(scene)
    },
  },
  {
    name: "a standby's disk is full",
    weight: 1,
    needs: 'small-disk',
    inject: async (scene) => {
      if (scene.primary === SMALL) await moveTo(scene, 'b')
      return fillDisk(scene)
    },
  },
  {
    name: 'primary cut off from every node',
    weight: 3,
    needs: 'cut',
    inject: async (scene) => cutOff(scene, scene.primary, [...scene.standbys, TEST_HOST]),
  },
  {
    name: 'primary cut off from its standbys, not from clients',
    weight: 4,
    needs: 'cut',
    inject: async (scene) => cutOff(scene, scene.primary, scene.standbys),
  },
  {
    name: 'primary cut off from one standby',
    weight: 2,
    needs: 'cut',
    inject: async (scene) => cutOff(scene, scene.primary, [someStandby(scene)]),
  },
  {
    name: 'a standby cut off from every node',
    weight: 1,
    needs: 'cut',
    inject: async (scene) => {
      const node = someStandby(scene)
      return cutOff(scene, node, [...NODES.filter((other) => other !== node), TEST_HOST])
    },
  },
]

export function pickFault(faults: readonly Fault[], random: Random): Fault {
  let ticket = random() * faults.reduce((sum, { weight }) => sum + weight, 0)
  for (const fault of faults) {
    ticket -= fault.weight
    if (ticket < 0) return fault
  }
  return faults[0] as Fault
}

export function pick<T>(list: readonly T[], random: Random): T {
  const one = list[Math.floor(random() * list.length)]
  if (one === undefined) throw new Error('nothing to pick from')
  return one
}

async function primaryNow(place: Place): Promise<string | null> {
  return serviceOf(await place.status(), 'db').primary
}

function someStandby({ standbys, random }: Scene): string {
  return pick(standbys, random)
}

function kill(place: Place, node: string): void {
  const postmaster = place.postmaster(node)
  if (postmaster) signal(postmaster, 'SIGKILL')
}

async function freeze({ place, random }: Scene, node: string, all: boolean): Promise<() => void> {
  const postmaster = place.postmaster(node)
  const frozen = all ? place.servers(node) : postmaster ? [postmaster] : []
  for (const one of frozen) signal(one, 'SIGSTOP')
  await sleep(clock, 500 + random() * 4_000)
  return () => {
    for (const one of frozen) signal(one, 'SIGCONT')
  }
}

async function loseNode({ place, random }: Scene, node: string): Promise<() => void> {
  await place.killNode(node)
  await sleep(clock, 500 + random() * 5_000)
  return () => place.startNode(node)
}

async function cutOff({ place, random }: Scene, node: string, from: readonly string[]): Promise<() => void> {
  const heals = from.map((other) => place.hosts.cut(node, other))
  await sleep(clock, 1_000 + random() * 6_000)
  return () => {
    for (const heal of heals) heal()
  }
}

/** A transaction that reads a table on each standby, and the table is dropped: replay waits for them. */
async function queryConflict({ place, primary, standbys, random }: Scene): Promise<() => Promise<void>> {
  const readers: pg.Client[] = []
  const end = async () => {
    for (const reader of readers) await reader.end().catch(() => {}) // the promotion has ended it
  }
  try {
    for (const node of standbys) {
      const reader = await place.session(node)
      readers.push(reader)
      await reader.query('begin isolation level repeatable read')
      await reader.query('select count(*) from victim')
    }
    await place.ask(primary, 'drop table victim; create table victim (id int)')
    await sleep(clock, 200 + random() * 500)
    kill(place, primary)
  } catch (error) {
    await end() // another fault was faster; one that stays in its transaction holds up every switchover from its node
    throw error
  }
  return end
}

/** No standby confirms for a moment, and what waits is cancelled: it stays on the primary alone, visible, with a warning. */
async function cancelledCommits({ place, primary, standbys, random }: Scene): Promise<() => void> {
  const receivers = standbys.flatMap((node) => {
    const postmaster = place.postmaster(node)
    return postmaster ? receiversOf(postmaster) : []
  })
  for (const receiver of receivers) signal(receiver, 'SIGSTOP')
  const thaw = () => {
    for (const receiver of receivers) signal(receiver, 'SIGCONT')
  }
  try {
    await sleep(clock, 100 + random() * 300)
    await place.ask(primary, "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
    await sleep(clock, random() * 200)
  } catch (error) {
    thaw()
    throw error
  }
  return thaw
}

/** A refusal is right when no node could become primary at that moment, and then nothing has happened. */
async function asked(place: Place, to?: string): Promise<'accepted' | 'refused'> {
  try {
    await place.client.switchover({ service: 'db', ...(to === undefined ? {} : { to }) })
    return 'accepted'
  } catch (error) {
    if ((error as { code?: unknown }).code === 'UND_REFUSED') return 'refused'
    throw error
  }
}

/** Longer than one may be pending. */
const SWITCHOVER_WITHIN_MS = 45_000

/** A switchover may rightly be called off: when another one leads still, and none is pending, it is asked for again. */
async function moveTo({ place }: Scene, node: string): Promise<void> {
  let isPending: () => Promise<boolean> = async () => false
  await until({ clock, everyMs: 50, withinMs: 120_000, what: `a switchover to ${node}` }, async () => {
    if ((await primaryNow(place)) === node) return (await place.untilWhole(30_000)) === node
    if (await isPending()) return false
    const before = new Set(await callOffs(place))
    const untilMs = clock.mono() + SWITCHOVER_WITHIN_MS
    if ((await asked(place, node)) === 'accepted')
      isPending = async () => clock.mono() < untilMs && (await callOffs(place)).every((id) => before.has(id))
    return false
  })
}

async function callOffs(place: Place): Promise<string[]> {
  const events = await place.client.events()
  return events.filter(({ rule }) => rule === 'switchover-called-off').map(({ id }) => id)
}

async function fillDisk({ place, random }: Scene): Promise<() => void> {
  const filler = join(place.smallDisk ?? '', 'filler')
  // dd ends with an error when the disk is full: that is what it is for.
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k', 'count=100000'])
  await sleep(clock, 3_000 + random() * 3_000)
  return () => rmSync(filler, { force: true })
}
