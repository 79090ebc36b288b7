/** How the demo looks: one line for each thing that happens, then the receipts as a table. */

import Table from 'cli-table3'
import type { EventRecord } from '../../api/api-types.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { formatDuration } from '../../lib/duration.ts'
import type { Palette } from '../io.ts'
import type { Tally } from './demo-traffic.ts'
import { ORDERS_PER_SECOND, PAGES_PER_SECOND } from './demo-traffic.ts'
import type { Check } from './orders.ts'

export interface Outcome {
  readonly fault: string
  readonly what: string
  /** From the fault to the first notice of it; null when none was needed. */
  readonly detectedMs: number | null
  /** From the fault until everything was as it should be again; null: not within the time allowed. */
  readonly backMs: number | null
  readonly tally: Tally
}

export class Show {
  readonly #write: (text: string) => void
  readonly #paint: Palette
  readonly #startedAt = Date.now()

  constructor(write: (text: string) => void, paint: Palette) {
    this.#write = write
    this.#paint = paint
  }

  opening(spec: ClusterSpec): void {
    const nodes = spec.nodes.map(({ name, zone }) => `${name} (${zone})`).join(', ')
    this.#write(`${this.#paint.bold('Understudy demo')}: a small shop on three nodes: ${nodes}`)
    this.#write(`  db      PostgreSQL with three replicas; a write is acknowledged when two of them have it on disk`)
    this.#write(`  web     two instances; clients connect to the balancer of every node`)
    this.#write(`  worker  one at a time and never two; it signs a log every 10 ms`)
    this.#write(
      `  load    at each balancer ${PAGES_PER_SECOND} pages and ${ORDERS_PER_SECOND} orders a second, to the end`,
    )
    this.#write('')
  }

  line(text: string): void {
    this.#write(`${this.#clock()} ${text}`)
  }

  fault(name: string): void {
    this.#write(`\n${this.#clock()} ${this.#paint.bold(this.#paint.yellow(`▸ ${name}`))}`)
  }

  event({ kind, node, rule, why }: EventRecord): void {
    const mark = {
      noticed: this.#paint.red('!'),
      done: this.#paint.green('✓'),
      failed: this.#paint.red('✗'),
      ended: this.#paint.dim('·'),
      told: this.#paint.dim('·'),
    }[kind]
    if (kind === 'ended') return // that a problem is over is clear from what was done
    this.#write(`${this.#clock()}   ${mark} ${node}  ${this.#paint.dim(rule.padEnd(20))} ${why}`)
  }

  /** The table and the verdicts; true when every promise was kept and recovered from every fault. */
  receipts(outcomes: readonly Outcome[], checks: readonly Check[]): boolean {
    this.#write(`\n${this.#table(outcomes)}`)
    for (const line of LEGEND) this.#write(this.#paint.dim(line))
    const sum = (what: 'failedPages' | 'failedOrders') => outcomes.reduce((all, { tally }) => all + tally[what], 0)
    const stuck = outcomes.filter(({ backMs }) => backMs === null).map(({ fault }) => fault)
    this.#verdict(sum('failedPages') === 0, `${sum('failedPages')} failed pages through the balancers of living nodes`)
    for (const { method, status, error, tookMs } of outcomes.flatMap(({ tally }) => tally.failures).slice(0, 5)) {
      this.#write(`    ${method}: ${status ?? ''} ${error ?? ''} after ${formatDuration(tookMs)}`)
    }
    for (const { ok, says } of checks) this.#verdict(ok, says)
    const whole = stuck.length === 0
    this.#verdict(whole, whole ? 'recovered from every fault' : `not recovered in time: ${stuck.join(', ')}`)
    return sum('failedPages') === 0 && whole && checks.every(({ ok }) => ok)
  }

  #table(outcomes: readonly Outcome[]): string {
    const titles = ['fault', 'noticed', 'back', 'failed requests', 'slowest page', 'slowest order']
    const table = new Table({
      head: titles.map((title) => this.#paint.bold(title)), // the library would print codes into a file, too
      style: { head: [], border: [], compact: true },
    })
    for (const { fault, detectedMs, backMs, tally } of outcomes) {
      const failed = `${tally.failedPages + tally.failedOrders} of ${tally.requests}`
      const slowest = [tally.slowestPageMs, tally.slowestOrderMs].map(formatDuration)
      table.push([fault, shown(detectedMs), shown(backMs), failed, ...slowest])
    }
    return table.toString()
  }

  #verdict(ok: boolean, text: string): void {
    this.#write(`${ok ? this.#paint.green('✓') : this.#paint.red('✗')} ${text}`)
  }

  #clock(): string {
    return this.#paint.dim(`${((Date.now() - this.#startedAt) / 1_000).toFixed(2).padStart(6)} s`)
  }
}

const LEGEND = [
  'noticed and back count from the fault; back: everything as it was asked for, not only serving',
  'slowest order: the longest that a client waited for one, which is the pause that the fault caused',
]

function shown(ms: number | null): string {
  return ms === null ? '-' : formatDuration(ms)
}
