/** How the demo looks: one line for each thing that happens, then the receipts as a table. */
import Table from 'cli-table3'
import type { EventRecord } from '../../api/contract.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { formatDuration } from '../../lib/duration.ts'
import type { Palette } from '../io.ts'
import type { Outcome, WorkerCheck } from './run.ts'
import { GETS_PER_SECOND, POSTS_PER_SECOND } from './traffic.ts'

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
    this.#write(`  web     two copies serve, customers come in through every node's front door`)
    this.#write(`  worker  one at a time and never two; it signs a log every 10 ms`)
    this.#write(`  load    ${GETS_PER_SECOND} GET/s and ${POSTS_PER_SECOND} POST/s at each door, from now to the end`)
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

  /** The table and the verdict; true when both promises were kept and every fault was got over. */
  receipts(outcomes: readonly Outcome[], workers: WorkerCheck): boolean {
    const titles = ['fault', 'detected', 'back', 'requests', 'failed', 'slowest', 'rule']
    const table = new Table({
      head: titles.map((title) => this.#paint.bold(title)), // the library would print codes into a file, too
      style: { head: [], border: [] },
    })
    for (const { fault, detectedMs, backMs, rule, tally } of outcomes) {
      const { requests, failedGets, failedPosts, slowestMs } = tally
      const failed = `${failedGets} GET, ${failedPosts} POST`
      table.push([fault, shown(detectedMs), shown(backMs), requests, failed, formatDuration(slowestMs), rule])
    }
    this.#write(`\n${table.toString()}`)
    this.#write(
      this.#paint.dim('detected and back count from the fault; back: everything as it was asked for, not only serving'),
    )
    this.#write(
      this.#paint.dim(
        'a failed POST had reached the instance that died: whether it was done cannot be known, so it is not sent twice',
      ),
    )
    const failedGets = outcomes.reduce((sum, { tally }) => sum + tally.failedGets, 0)
    const stuck = outcomes.filter(({ backMs }) => backMs === null)
    this.#verdict(failedGets === 0, `${failedGets} failed GETs through the doors of living nodes`)
    for (const { method, status, error, tookMs } of outcomes.flatMap(({ tally }) => tally.failures).slice(0, 5)) {
      this.#write(`    ${method}: ${status ?? ''} ${error ?? ''} after ${formatDuration(tookMs)}`)
    }
    this.#verdict(workers.ok, workers.says)
    this.#verdict(
      stuck.length === 0,
      stuck.length === 0
        ? 'every fault was got over'
        : `not got over in time: ${stuck.map(({ fault }) => fault).join(', ')}`,
    )
    return failedGets === 0 && workers.ok && stuck.length === 0
  }

  #verdict(ok: boolean, text: string): void {
    this.#write(`${ok ? this.#paint.green('✓') : this.#paint.red('✗')} ${text}`)
  }

  #clock(): string {
    return this.#paint.dim(`${((Date.now() - this.#startedAt) / 1_000).toFixed(2).padStart(6)} s`)
  }
}

function shown(ms: number | null): string {
  return ms === null ? '-' : formatDuration(ms)
}
