/**
 * Faults that come one after the other, each at a step of the protocol: what one fault alone, or several at random
 * moments, hardly ever bring about. All of them happen to real clusters: what killed the first primary kills its
 * successor, the racks of a room lose their power one by one, the source of a rewind dies before the clone is whole.
 * Each is the only simulated disaster in which some check of the protocol is of any use
 * (test/mutants/database-mutants.ts names the checks).
 */
import type { NodeName } from '../../core/model.ts'
import type { Random } from '../../lib/random.ts'
import type { World } from '../sim-world.ts'
import { SEQUENCE_MS, SequenceActions } from './sequence-actions.ts'

const BEGINS_AFTER_MS = 900
const BEGINS_WITHIN_MS = 2_000
/**
 * What killed the first primary kills its successor as soon as that admits clients, while a replica that the new quorum
 * can do without is far away: what that one knows of the others is out of date. Where the disk is full, the successor
 * cannot even be started to report its position.
 */
function successorDies(site: SequenceActions): void {
  const { random } = site
  site.hit('kill primary', {}, 0)
  site.next('elected', () => {
    const { quorum } = site
    const others = site.nodes.filter((node) => node !== quorum?.primary)
    const spare = others.filter((node) => !quorum?.standbys.includes(node))
    site.slow([site.pick(spare.length > 0 ? spare : others)], site.nodes)
    site.next('opened', (node) => {
      site.after(20 + 80 * random(), () => site.hit(random() < 0.7 ? 'fill disk' : 'kill primary', { node }, 3_000))
    })
  })
}

/** The nearer half of the cluster dies node by node, each at a step that was about to make good for the one before. */
function halfDies(site: SequenceActions): void {
  const first = site.quorum?.primary
  const others = site.shuffled(site.nodes.filter((node) => node !== first))
  const near = [...(first === undefined ? [] : [first]), ...others.slice(0, Math.floor(others.length / 2))]
  const far = others.slice(Math.floor(others.length / 2))
  site.slow(near, far)
  const doomed = new Set(near)
  const kill = (node: NodeName | undefined) => {
    if (node === undefined || !doomed.delete(node)) return
    site.hit('kill node', { node }, 2_500 + 2_000 * site.random())
  }
  const begins = site.random() < 0.5
  const withinMs = begins ? 300 : 30
  site.after(300, () => {
    if (begins) kill(first)
    else site.hit('kill primary', {}, 0)
    site.each('changing', () => site.after(withinMs * site.random(), () => kill(site.quorum?.primary)))
    site.each('elected', () => site.after(20 * site.random(), () => kill(site.quorum?.primary)))
    site.each('won', () => site.after(3 * site.random(), () => kill([...doomed][0])))
  })
}

/**
 * A primary that was disconnected is rewound under a successor that no other node hears, and that one dies before the
 * rewound replica has all that its pages came from.
 */
function sourceDies(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  site.hit('cut off', { node: old }, 1_200 + 800 * random())
  site.next('elected', () => {
    const source = site.quorum?.primary
    if (source === undefined) return
    for (const node of site.nodes)
      if (node !== old && node !== source) site.hit('cut one way', { from: node, to: source }, SEQUENCE_MS)
    site.next('rewound', () => {
      const kind = random() < 0.7 ? 'kill node' : 'kill primary'
      site.after(40 * random(), () => site.hit(kind, { node: source }, 3_000))
    })
  })
}

/**
 * A primary that was cut off comes back while its successor has not yet written its first checkpoint: a rewind that does not
 * wait for that looks at the old timeline and does nothing (trap 21).
 */
function comesBackEarly(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  for (const node of site.nodes) site.hit('slow checkpoint', { node }, SEQUENCE_MS)
  site.hit('stale reader', { node: old }, SEQUENCE_MS)
  site.hit('cut off', { node: old }, 500 + 900 * random())
}

/**
 * A primary and its agent sleep, and wake when the others have just been recruited. Until then the streams from it break again and
 * again, and replay is paused whenever a receiver was asked for and has not begun: a startup process that is paused takes
 * nothing back, so that receiver starts by what it was told before, and only its key stops it, which is gone or another primary's (trap 2).
 */
function sleepsThroughIt(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  const others = site.nodes.filter((node) => node !== old)
  for (const node of others) site.hit('late receiver', { node }, SEQUENCE_MS)
  for (const node of others) site.hit('stuck receiver', { node }, SEQUENCE_MS)
  site.hit('freeze agent', { node: old }, 3_000)
  site.hit('freeze primary', {}, 3_000)
  let over = false
  const disturb = (node: NodeName) => {
    if (over) return
    const server = site.copyOn(node)
    if (server?.receiver) {
      server.replay.resume()
      site.hit('broken stream', { node }, 0)
    } else if (server?.startup.isAsking && !server.replay.paused) site.hit('pause replay', { node }, 3_000)
    site.after(2, () => disturb(node))
  }
  for (const node of others) disturb(node)
  site.next('won', () => {
    site.after(10 + 20 * random(), () => site.wake(old))
    site.after(10, () => {
      over = true
    })
  })
  site.after(2_500, () => {
    over = true
  })
}

/**
 * A primary and its agent sleep, and wake when the others have just been recruited: receivers that take their time to end still
 * confirm what it writes then. One of them has ended, and may be chosen.
 */
function wakesUnderTheFence(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  const [, ...others] = site.shuffled(site.nodes.filter((node) => node !== old))
  for (const node of others) site.hit('stuck receiver', { node }, SEQUENCE_MS)
  site.hit('freeze agent', { node: old }, 3_000)
  site.hit('freeze primary', {}, 3_000)
  site.next('won', () => site.after(30 * random(), () => site.wake(old)))
}

/** A shared archive has the WAL of a primary that goes on writing although no standby confirms anything (trap 5). */
function archiveOfTheOld(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  for (const node of site.nodes) site.hit('foreign log', { node }, SEQUENCE_MS)
  for (const node of site.nodes) site.hit('standby reader', { node }, SEQUENCE_MS)
  site.hit('hasty writer', { node: old }, SEQUENCE_MS)
  site.hit('stale reader', { node: old }, SEQUENCE_MS)
  site.hit('cut off', { node: old }, 1_200 + 2_000 * random())
}

/**
 * A successor dies with what only it has, and the next one's timeline gets the same number (trap 20). A standby that waits for
 * that one is made to read an archive, and finds there what was lost (trap 5): the numbers fit.
 */
function archiveOfTheLost(site: SequenceActions): void {
  const { random } = site
  site.hit('kill primary', {}, 0)
  site.next('promoted', (lost) => {
    site.after(1 + 2 * random(), () => site.hit('kill node', { node: lost }, SEQUENCE_MS))
    const others = site.nodes.filter((node) => node !== lost)
    const look = () => {
      const waiting = others.filter((node) => site.waitsForStream(node))
      for (const node of waiting) site.hit('foreign log', { node }, SEQUENCE_MS)
      site.after(2, look)
    }
    site.next('elected', () => {
      const { quorum } = site
      if (quorum) site.hit('slow replay', { node: quorum.primary }, 500)
      look()
      site.next('opened', (node) => site.after(300 + 500 * random(), () => site.hit('kill primary', { node }, 3_000)))
    })
  })
}

/** What a replica lacks is removed while it is away, from the next primary as well (trap 23). */
function logIsGone(site: SequenceActions): void {
  const { random } = site
  const first = site.quorum?.primary
  const away = site.pick(site.nodes.filter((node) => node !== first))
  site.hit(random() < 0.5 ? 'kill node' : 'cut off', { node: away }, 600 + 1_500 * random())
  const lose = () => {
    const primary = site.quorum?.primary
    if (primary !== undefined) site.hit('lost log', { node: primary }, 0)
  }
  site.after(500, lose)
  if (random() < 0.5) return
  site.after(700, () => site.hit('kill primary', {}, 0))
  site.next('opened', () => site.after(300 * random(), lose))
}

/**
 * A silent primary dies and is restarted in place, and does not wait for any standby while it starts. What it holds and
 * no standby confirmed must not be shown (trap 11).
 */
function startsHastily(site: SequenceActions): void {
  const { random } = site
  const old = site.quorum?.primary
  if (old === undefined) return
  for (const node of site.nodes) site.hit('hasty start', { node }, SEQUENCE_MS)
  for (const node of site.nodes) site.hit('stale reader', { node }, SEQUENCE_MS)
  site.hit('cut off', { node: old }, 800 + 2_000 * random())
  site.after(50 + 200 * random(), () => site.hit('kill primary', {}, 0))
}

/**
 * All standbys but one hang, and that one comes again while its old connection still stands; or a foreign client
 * streams under the names of those that hang. And then the primary is lost (trap 6).
 */
function nameIsTaken(site: SequenceActions): void {
  const { random } = site
  const first = site.quorum?.primary
  const others = site.shuffled(site.nodes.filter((node) => node !== first))
  const [twice] = random() < 0.5 ? others : []
  for (const node of others) if (node !== twice) site.hit('freeze process', { node }, 300 + 700 * random())
  for (const node of others) if (twice === undefined) site.hit('impostor', { node }, SEQUENCE_MS)
  if (twice !== undefined) site.after(100 * random(), () => site.hit('half-open stream', { node: twice }, 0))
  site.after(200 + 300 * random(), () => site.hit('kill node', { node: first ?? '' }, 3_000))
}

/** Those that random faults come close to as well are drawn less often. */
const SEQUENCES = [
  successorDies,
  successorDies,
  halfDies,
  halfDies,
  sourceDies,
  sourceDies,
  comesBackEarly,
  sleepsThroughIt,
  sleepsThroughIt,
  wakesUnderTheFence,
  archiveOfTheOld,
  archiveOfTheLost,
  logIsGone,
  startsHastily,
  nameIsTaken,
] as const

export interface Sequence {
  /** How many faults may happen beside it: those that were drawn first. */
  readonly otherFaults: number
  /** When all of it is over, counted from the start of the world. */
  readonly overMs: number
  /** Returns what ends it. */
  begin(world: World): () => void
}

/** For a part of all worlds; undefined for the others. */
export function drawSequence(random: Random): Sequence | undefined {
  if (random() < 0.5) return undefined
  const sequence = SEQUENCES[Math.floor(random() * SEQUENCES.length)] ?? successorDies
  const otherFaults = Math.floor(3 * random() * random())
  const beginMs = BEGINS_AFTER_MS + BEGINS_WITHIN_MS * random()
  const begin = (world: World) => {
    const [service] = [...world.ledgers.keys()]
    if (service === undefined) return () => undefined
    const site = new SequenceActions(world, service, random)
    site.after(beginMs, () => sequence(site))
    return () => {
      site.isOver = true
    }
  }
  return { otherFaults, overMs: Math.round(beginMs + SEQUENCE_MS), begin }
}
