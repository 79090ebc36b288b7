/**
 * What would each failure do to this cluster? START HERE. The answers come from the same decisions that the agents
 * take:
 *
 *     failure.ts: everything that can fail ─▶ inquiry.ts: one service, one failure ─▶ settle.ts: core/decide.ts, until quiet
 *                                          ◀─ outcome.ts: what serves, for how long nothing did, what may be lost
 *     weaknesses/: the single points of failure, by name     availability.ts: what it comes to in a year
 *
 * Nothing here reads a clock or touches a machine: the same config gives the same report.
 */

import type { ClusterSpec, NodeName, ServiceName } from '../core/model.ts'
import { withoutSecrets } from '../core/secrets.ts'
import { ASSUMED, type Assumptions } from './assumptions.ts'
import { type Availability, availabilityOf, machineShare } from './availability.ts'
import { everyFailure, type Failure, together } from './failure.ts'
import { Inquiry } from './inquiry.ts'
import { type Measured, UNMEASURED } from './measured.ts'
import type { Outcome } from './outcome.ts'
import { votersFor } from './question.ts'
import { GUESSED, type Rates } from './rates.ts'
import type { Row } from './report-row.ts'

export { type Availability, MOST_NODES } from './availability.ts'

import { type Weakness, weaknessesOf } from './weaknesses/index.ts'

export interface Question {
  readonly cluster: ClusterSpec
  /** The store's members; null: one store on one machine. Default: as the addresses of the nodes say. */
  readonly voters?: readonly NodeName[] | null
  readonly assumed?: Partial<Assumptions>
  readonly rates?: Partial<Rates>
  readonly measured?: Measured
  /** Who leads now. Default: who would after a first start. */
  readonly primaries?: Readonly<Record<ServiceName, NodeName>>
  /** Where the replicas of databases are now. Default: where they would be after a first start. */
  readonly replicas?: Readonly<Record<ServiceName, readonly NodeName[]>>
}

export interface Pairs {
  readonly asked: number
  /** Pairs that end or endanger a service that neither of the two does alone. */
  readonly hurting: readonly Row[]
  /** Pairs that do no such harm and yet interrupt a service that neither of the two alone does, and for how long at most. */
  readonly pausing: { readonly count: number; readonly mostMs: number }
  /** Every pair; absent when it was not asked for. */
  readonly all?: readonly Row[]
}

export interface Report {
  readonly cluster: string
  readonly voters: readonly NodeName[] | null
  readonly assumed: Assumptions
  readonly rates: Rates
  readonly singles: readonly Row[]
  readonly weaknesses: readonly Weakness[]
  /** Objectives that one judged failure is enough to miss. */
  readonly missed: readonly { readonly service: ServiceName; readonly by: string; readonly why: string }[]
  /** Steps that the decisions took and this model does not know. */
  readonly notModelled: readonly string[]
}

export interface FullReport extends Report {
  readonly pairs: Pairs
  readonly availability: readonly Availability[]
  /** With all nodes on one machine, nothing is available for longer than that machine; null with several. */
  readonly machine: number | null
}

export class WhatIf {
  readonly inquiry: Inquiry
  readonly rates: Rates
  readonly #measured: Measured
  #failures: readonly Failure[] | undefined

  constructor({ cluster, voters, assumed, rates, measured = UNMEASURED, primaries = {}, replicas = {} }: Question) {
    const chosen = voters === undefined ? votersFor(cluster) : voters
    const setting = {
      cluster: withoutSecrets(cluster),
      voters: chosen,
      assumed: { ...ASSUMED, ...assumed },
      primaries,
      replicas,
    }
    this.inquiry = new Inquiry(setting, measured)
    this.rates = { ...GUESSED, ...rates }
    this.#measured = measured
  }

  get failures(): readonly Failure[] {
    const { cluster, voters } = this.inquiry.setting
    this.#failures ??= everyFailure(cluster, this.inquiry.standing(), voters)
    return this.#failures
  }

  /** These failures, all at once. */
  row(failures: readonly Failure[]): Row {
    const { cluster, voters } = this.inquiry.setting
    const effect = together(failures)
    const judged = effect.nodes.length < cluster.nodes.length && !(effect.store && voters === null)
    return { failures, outcomes: cluster.services.map(({ name }) => this.inquiry.outcome(name, effect)), judged }
  }

  singles(): Row[] {
    return this.failures.map((failure) => this.row([failure]))
  }

  pairs(singles: readonly Row[], { everyPair = false } = {}): Pairs {
    const hurting: Row[] = []
    const all: Row[] = []
    let asked = 0
    let [count, mostMs] = [0, 0]
    for (const [index, one] of singles.entries()) {
      for (const other of singles.slice(index + 1)) {
        asked += 1
        const row = this.row([...one.failures, ...other.failures])
        if (everyPair) all.push(row)
        const alone = (at: number) => [one.outcomes[at], other.outcomes[at]]
        const pauseMs = Math.max(0, ...row.outcomes.map((outcome, at) => addedPauseMs(outcome, alone(at))))
        if (row.outcomes.some((outcome, at) => isWorse(outcome, alone(at)))) hurting.push(row)
        else if (pauseMs > 0) [count, mostMs] = [count + 1, Math.max(mostMs, pauseMs)]
      }
    }
    return { asked, hurting, pausing: { count, mostMs }, ...(everyPair && { all }) }
  }

  /** Single failures and weaknesses: quick. */
  report(): Report {
    const { cluster, voters, assumed } = this.inquiry.setting
    const singles = this.singles()
    return {
      cluster: cluster.name,
      voters,
      assumed,
      rates: this.rates,
      singles,
      weaknesses: weaknessesOf({ inquiry: this.inquiry, singles }),
      missed: singles.filter(({ judged }) => judged).flatMap(missedIn),
      notModelled: this.inquiry.unknownSteps,
    }
  }

  fullReport(options: { readonly everyPair?: boolean } = {}): FullReport {
    const report = this.report()
    const pairs = this.pairs(report.singles, options)
    const availability = availabilityOf(this.inquiry, this.rates, this.#measured)
    const machine = report.voters === null ? machineShare(this.rates) : null
    return { ...report, pairs, availability, machine, notModelled: this.inquiry.unknownSteps }
  }
}

/** Ended, endangered, or later than promised. */
export function isBad({ served, loss, objective }: Outcome): boolean {
  return !served || loss === 'possible' || loss === 'if-disks-are-gone' || objective === 'missed'
}

function isWorse(both: Outcome, alone: readonly (Outcome | undefined)[]): boolean {
  return isBad(both) && !alone.some((one) => one && isBad(one))
}

function addedPauseMs({ pauseMs }: Outcome, alone: readonly (Outcome | undefined)[]): number {
  return alone.some((one) => one?.pauseMs !== 0) ? 0 : (pauseMs ?? 0)
}

function missedIn({ failures, outcomes }: Row): Report['missed'] {
  const by = failures.map(({ label }) => label).join(' and ')
  return outcomes.filter(({ objective }) => objective === 'missed').map(({ service, why }) => ({ service, by, why }))
}
