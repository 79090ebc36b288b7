/**
 * Moves a primary and waits until it is done: an answer "accepted" is no help before pulling a plug. It is done when
 * there is a receipt; it is called off when an event says so.
 */
import type { EventRecord, Receipt } from '../../client/index.ts'
import { UnderstudyError } from '../../errors.ts'
import { sleep, systemClock } from '../../lib/clock.ts'
import { formatDuration } from '../../lib/duration.ts'
import { type CommonOptions, mustKnowNode, mustKnowService, openSession, type Session } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { eventLine, receiptLines } from '../print/print-events.ts'
import { type AddCommand, clusterCommand, durationOption, printJson } from './command.ts'

interface SwitchoverOptions extends CommonOptions {
  readonly to?: string
  readonly wait: boolean
  readonly timeout: number
}

const CALLED_OFF = 'switchover-called-off'
const LOOK_EVERY_MS = 100

export const addSwitchover: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'switchover', 'move the primary of a service to another node, planned', EXAMPLE)
    .argument('<service>', 'its name')
    .option('--to <node>', 'where to (default: the best candidate)')
    .option('--wait', 'stay until it is done or called off', true)
    .option('--no-wait', 'return as soon as it is accepted')
    .option('--timeout <duration>', 'how long to wait', durationOption, 40_000)
    .action(async (service: string, options: SwitchoverOptions) => {
      const session = openSession(io, options)
      mustKnowService(session, service)
      if (options.to !== undefined) mustKnowNode(session, options.to)
      const code = await switchOver(io, session, service, options)
      if (code !== 0) exit(code)
    })
}

async function switchOver(io: Io, session: Session, service: string, options: SwitchoverOptions): Promise<number> {
  const { client } = session
  const seen = new Set((await client.events()).map(({ id }) => id))
  const before = new Set((await client.receipts()).map(({ id }) => id))
  const primary = (await client.status()).services.find(({ name }) => name === service)?.primary ?? null
  const accepted = await client.switchover({ service, ...(options.to === undefined ? {} : { to: options.to }) })
  if (!options.wait) {
    if (options.json) printJson(io, accepted)
    else io.out(`Accepted: ${accepted.what}. “understudy events -f” shows how it goes.`)
    return 0
  }
  if (!options.json) io.out(`Accepted: ${accepted.what}.`)
  const tell = (event: EventRecord) => !options.json && io.out(eventLine(io, event))
  const asked = { seen, before, from: primary, to: options.to, tell }
  const outcome = await waitForOutcome(session, service, { ...asked, timeoutMs: options.timeout })
  if (options.json) printJson(io, outcome)
  else if ('backAfterMs' in outcome) io.out(['', ...receiptLines(io, outcome)].join('\n'))
  else io.out(`Called off: ${outcome.why}`)
  return 'backAfterMs' in outcome ? 0 : 1
}

interface Waiting {
  readonly seen: Set<string>
  readonly before: ReadonlySet<string>
  /** Who led when it was asked for; null: no node. */
  readonly from: string | null
  /** Where to, when that was said. */
  readonly to: string | undefined
  readonly timeoutMs: number
  tell(event: EventRecord): void
}

/** Its receipt, or the event that called it off. Rejects with UND_TIMED_OUT. Agents may come and go meanwhile. */
async function waitForOutcome({ client }: Session, service: string, waiting: Waiting): Promise<Receipt | EventRecord> {
  const deadline = systemClock.mono() + waiting.timeoutMs
  while (systemClock.mono() < deadline) {
    const [events, receipts] = await Promise.all([client.events(), client.receipts()]).catch(() => [[], []])
    const news = events.filter((event) => event.service === service && !waiting.seen.has(event.id))
    for (const event of news) {
      waiting.seen.add(event.id)
      waiting.tell(event)
    }
    const fresh = receipts.filter((one) => one.service === service && !waiting.before.has(one.id))
    const receipt = fresh.find((one) => isOf(one, waiting))
    const other = fresh.find((one) => one.kind === 'failover' && one.from === waiting.from)
    if (!receipt && other) throw overtaken(other)
    const calledOff = news.find(({ rule }) => rule === CALLED_OFF)
    if (receipt ?? calledOff) return (receipt ?? calledOff) as Receipt | EventRecord
    await sleep(systemClock, LOOK_EVERY_MS)
  }
  const message = `${service} has not moved within ${formatDuration(waiting.timeoutMs)}; “understudy why ${service}” says what holds it`
  throw new UnderstudyError('UND_TIMED_OUT', message)
}

/** Of what was asked for here: another client's switchover, or a drain, may end meanwhile. */
function isOf({ kind, rule, from, to }: Receipt, waiting: Waiting): boolean {
  const isThere = waiting.to === undefined ? to !== waiting.from : to === waiting.to
  return kind === 'switchover' && rule === 'switchover-requested' && isThere && (waiting.from ?? from) === from
}

function overtaken({ service, from, to, why }: Receipt): UnderstudyError {
  const message = `a failover of ${service} from ${from} to ${to} came before the switchover: ${why}; “understudy status” says where it is`
  return new UnderstudyError('UND_REFUSED', message)
}

const EXAMPLE = 'understudy switchover mailer --to b'
