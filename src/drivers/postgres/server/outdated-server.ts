/**
 * Does a server run as the config says? The server itself says which settings it can take only at a start (`pending_restart`); the
 * rest is compared here. What an operator set with ALTER SYSTEM is the operator's business, and so is when it comes into force.
 *
 * Five settings have an order, because a standby needs at least the value of its primary (standby-capacity.ts). Raised: standbys
 * first, the primary last. Lowered: the primary first, in place, since whichever node it was switched over to would still run with
 * the higher value; a standby keeps the higher one until its primary has the lower.
 */
import type { Outdated } from '../../../core/model.ts'
import { CAPACITY_NAMES, type Capacity, type CapacityName, NEEDED_OF_PRIMARY } from './standby-capacity.ts'
import type { StartedAs } from './started-as.ts'

/** What a server says of itself. */
export interface ServerNow {
  readonly release: string
  /** In force. */
  readonly capacity: Capacity
  /** Settings of which a file says another value than is in force, with the one in force. */
  readonly pending: readonly { readonly name: string; readonly value: string }[]
  readonly port: number
}

/** What it would be started with now. */
export interface NextStart {
  readonly restarts: number
  readonly release: string
  /** As in `StartedAs`; null: the config does not name a folder, so any of the same release is as good. */
  readonly bin: string | null
  /** Null: the one that it has. */
  readonly port: number | null
  /** Of the files; what is raised on the command line is not in it. */
  readonly settings: ReadonlyMap<string, string>
  /** The names in our own file. */
  readonly ours: readonly string[]
  /** The names that were set with ALTER SYSTEM. */
  readonly altered: readonly string[]
  readonly configured: Capacity
  /** What it would have at the least, whatever is configured. */
  readonly least: Capacity
}

export function outdatedServer(
  now: ServerNow,
  started: StartedAs | undefined,
  next: NextStart,
  leads: boolean,
): Outdated | undefined {
  const changes = [...capacityChanges(now, next), ...otherChanges(now, started, next)]
  const why = [...portChange(now, next), ...programChange(now, started, next), ...settingsSentence(changes)]
  if (started !== undefined && next.restarts > started.restarts) why.push('a restart was asked for')
  if (why.length === 0) return undefined
  const mustLower = changes.some(
    ({ name, lowers }) => lowers && (NEEDED_OF_PRIMARY as readonly string[]).includes(name),
  )
  return { why: why.join('; '), needs: leads && mustLower ? 'in-place' : 'restart' }
}

interface Change {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly lowers?: boolean
}

function capacityChanges(now: ServerNow, next: NextStart): Change[] {
  return CAPACITY_NAMES.flatMap((name: CapacityName): Change[] => {
    const [inForce, configured] = [now.capacity[name], next.configured[name]]
    if (inForce === undefined || configured === undefined || isOperators(name, next)) return []
    const to = Math.max(configured, next.least[name] ?? 0)
    // Needed and not configured: what lacks it is unfit, which is seen and mended elsewhere.
    if (inForce === to || (inForce < to && inForce >= configured)) return []
    return [{ name, from: String(inForce), to: String(to), lowers: to < inForce }]
  })
}

function otherChanges(now: ServerNow, started: StartedAs | undefined, next: NextStart): Change[] {
  const ofConfig = new Set([...next.ours, ...(started?.settings ?? [])])
  return now.pending.flatMap(({ name, value }): Change[] => {
    const isCounted = (CAPACITY_NAMES as readonly string[]).includes(name) || name === 'port'
    if (isCounted || !ofConfig.has(name) || isOperators(name, next)) return []
    return [{ name, from: value || "''", to: next.settings.get(name) ?? 'the default' }]
  })
}

function isOperators(name: string, { altered }: NextStart): boolean {
  return altered.includes(name)
}

function portChange({ port }: ServerNow, next: NextStart): string[] {
  return next.port === null || next.port === port ? [] : [`its port needs a restart (${port} → ${next.port})`]
}

function programChange({ release }: ServerNow, started: StartedAs | undefined, next: NextStart): string[] {
  if (majorOf(release) !== majorOf(next.release)) return [] // never started on this data: replica-setup.ts says so
  if (release !== next.release) return [`PostgreSQL ${release} runs, and ${next.release} is installed`]
  const isElsewhere = next.bin !== null && started !== undefined && started.bin !== next.bin
  return isElsewhere ? [`its programs are those of ${started.bin}, and the config names ${next.bin}`] : []
}

function majorOf(release: string): string {
  return /^\d*/.exec(release)?.[0] ?? ''
}

function settingsSentence(changes: readonly Change[]): string[] {
  const [first, ...rest] = changes
  if (first === undefined) return []
  if (rest.length === 0) return [`${first.name} needs a restart (${first.from} → ${first.to})`]
  const all = changes.map(({ name, from, to }) => `${name} (${from} → ${to})`)
  return [`${all.slice(0, -1).join(', ')} and ${all.at(-1)} need a restart`]
}
