/**
 * What other agents say, checked once, here: behind this line a message is what its type says. Kinds and fields that this
 * version does not know are another version's and are ignored; what a turn would trip over is refused as a whole.
 */
import type { InstanceReport, NodeReport } from '../core/model.ts'
import type { ReplicaReport } from '../core/replicated/quorum-config.ts'
import type { ReportedProblem } from '../core/reported-problem.ts'
import { malformed, type Undecoded, unknownKind } from '../lib/not-understood.ts'
import { areFlags, areNumbers, areTexts, fieldsOf, isListOf, orAbsent, orNull } from '../lib/shapes.ts'
import type { Message } from './agent-ports.ts'
import { isEventRecord, isReceipt } from './record-shapes.ts'

/** From the text of one message; never throws. */
export function decodeMessage(text: string): Message | Undecoded {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return malformed(undefined)
  }
  const { kind } = fieldsOf<Message>(value)
  if (typeof kind !== 'string') return malformed(kind)
  if (!Object.hasOwn(CHECKS, kind)) return unknownKind(kind)
  return CHECKS[kind as Message['kind']](value) ? (value as Message) : malformed(kind)
}

type Of<K extends Message['kind']> = Extract<Message, { readonly kind: K }>

const isText = (value: unknown) => areTexts(value)
const areNames = (value: unknown) => isListOf(value, isText)

const CHECKS: Readonly<Record<Message['kind'], (value: unknown) => boolean>> = {
  beat(value) {
    const { suspects, abstains } = fieldsOf<Of<'beat'>>(value)
    return areNames(suspects) && areFlags(abstains)
  },
  report: (value) => isNodeReport(fieldsOf<Of<'report'>>(value).report),
  look: () => true,
  event: (value) => isEventRecord(fieldsOf<Of<'event'>>(value).event),
  receipt: (value) => isReceipt(fieldsOf<Of<'receipt'>>(value).receipt),
  history(value) {
    const { events, receipts } = fieldsOf<Of<'history'>>(value)
    return isListOf(events, isEventRecord) && isListOf(receipts, isReceipt)
  },
}

function isNodeReport(value: unknown): boolean {
  const report = fieldsOf<NodeReport>(value)
  const isPid = (pid: unknown) => areNumbers(pid)
  return (
    areTexts(report.node) &&
    areNumbers(report.incarnation, report.agentPid) &&
    orNull(report.balancerPid, isPid) &&
    orNull(report.fencePid, isPid) &&
    orAbsent(report.version, isText) &&
    orAbsent(report.protocol, isPid) &&
    [report.balancerVersion, report.fenceVersion].every((one) => orAbsent(one, (said) => orNull(said, isText))) &&
    areFlags(report.stopping) &&
    orAbsent(report.config, (number) => areNumbers(number)) &&
    isListOf(report.instances, isInstance) &&
    areLists(report.openDoors, report.leaving, report.holding, report.still, report.ready, report.ahead) &&
    orAbsent(report.sessions, (sessions) => isListOf(sessions, isTally)) &&
    orAbsent(report.problems, (problems) => isListOf(problems, isProblem))
  )
}

function areLists(...lists: readonly unknown[]): boolean {
  return lists.every((names) => orAbsent(names, areNames))
}

function isTally(value: unknown): boolean {
  const { service, term, held, moved } = fieldsOf<NonNullable<NodeReport['sessions']>[number]>(value)
  return areTexts(service) && areNumbers(term, held, moved)
}

function isProblem(value: unknown): boolean {
  const { rule, service, evidence, why } = fieldsOf<ReportedProblem>(value)
  return areTexts(rule, evidence, why) && orNull(service, isText)
}

function isInstance(value: unknown): boolean {
  const it = fieldsOf<InstanceReport>(value)
  return (
    areTexts(it.service, it.role, it.state, it.health, it.note) &&
    areNumbers(it.healthForMs, it.stateForMs, it.term, it.failures, it.retryInMs) &&
    areFlags(it.hung) &&
    [it.pid, it.startTime, it.port, it.holding].every((number) => orAbsent(number, (one) => areNumbers(one))) &&
    orAbsent(it.outdated, isOutdated) &&
    orAbsent(it.target, isText) &&
    orAbsent(it.replica, isReplica)
  )
}

function isOutdated(value: unknown): boolean {
  const { why, needs } = fieldsOf<NonNullable<InstanceReport['outdated']>>(value)
  return areTexts(why, needs)
}

function isReplica(value: unknown): boolean {
  const it = fieldsOf<ReplicaReport>(value)
  return (
    areNumbers(it.pledged, it.replayLagBytes) &&
    areFlags(it.recruited, it.quorumDurable, it.quarantined, it.diverged) &&
    orNull(it.position, isPosition) &&
    orNull(it.quorum, isConfig) &&
    orNull(it.receivingFrom, isText) &&
    isListOf(it.streaming, isStreaming)
  )
}

function isPosition(value: unknown): boolean {
  const { term, timeline, log } = fieldsOf<NonNullable<ReplicaReport['position']>>(value)
  return areNumbers(term, timeline) && typeof log === 'string' && /^\d+$/.test(log)
}

function isConfig(value: unknown): boolean {
  const { term, primary, standbys, k, id } = fieldsOf<NonNullable<ReplicaReport['quorum']>>(value)
  return areNumbers(term, k) && areTexts(primary, id) && areNames(standbys)
}

function isStreaming(value: unknown): boolean {
  const { node, lagBytes } = fieldsOf<ReplicaReport['streaming'][number]>(value)
  return areTexts(node) && areNumbers(lagBytes)
}
