/** What each kind of fault cost: for the table at the end of a run. */

interface Cost {
  /** The longest time in which no row was acknowledged. */
  readonly gapMs: number
  /** From healing until one leads and all follow. */
  readonly wholeMs: number
  /** Another one leads than before. */
  readonly moved: boolean
}

export class Tally {
  readonly #costs = new Map<string, Cost[]>()

  note(kind: string, cost: Cost): void {
    this.#costs.set(kind, [...(this.#costs.get(kind) ?? []), cost])
  }

  table(seed: number, couldCut: boolean, slowMs: number): string {
    const lines = [...this.#costs].map(([kind, costs]) => {
      const gap = costs.map(({ gapMs }) => gapMs)
      const whole = costs.map(({ wholeMs }) => wholeMs)
      const moved = costs.filter((cost) => cost.moved).length
      return row(kind, [costs.length, moved, at(gap, 0.5), at(gap, 1), at(whole, 0.5), at(whole, 1)])
    })
    const all = [...this.#costs.values()].flat()
    const gaps = all.map(({ gapMs }) => gapMs)
    return [
      `seed ${seed}${couldCut ? '' : ' (no cable was cut)'}; the machine was ${Math.round(slowMs)} ms slow at most`,
      row('fault', ['times', 'moved', 'gap p50', 'gap max', 'whole p50', 'whole max']),
      ...lines.sort(),
      row('all', [all.length, all.filter(({ moved }) => moved).length, at(gaps, 0.5), at(gaps, 1), '', '']),
    ].join('\n')
  }
}

function row(kind: string, cells: readonly (string | number)[]): string {
  return kind.padEnd(56) + cells.map((cell) => String(cell).padStart(10)).join('')
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
}
