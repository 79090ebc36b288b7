/** Two texts as a unified diff, by line. Longest common subsequence after what both begin and end with was taken off. */

const CONTEXT = 3

interface Line {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

/** Without a heading; empty when both are the same. */
export function lineDiff(before: string, after: string): string[] {
  const lines = compared(before.split('\n'), after.split('\n'))
  const changed = lines.flatMap(({ sign }, at) => (sign === ' ' ? [] : [at]))
  const hunks: [number, number][] = []
  for (const at of changed) {
    const last = hunks.at(-1)
    if (last && at - last[1] <= 2 * CONTEXT) last[1] = at
    else hunks.push([at, at])
  }
  return hunks.flatMap(([first, last]) =>
    hunk(lines, Math.max(0, first - CONTEXT), Math.min(lines.length, last + CONTEXT + 1)),
  )
}

function hunk(lines: readonly Line[], from: number, to: number): string[] {
  const count = (signs: string, until: number, since = 0) =>
    lines.slice(since, until).filter(({ sign }) => signs.includes(sign)).length
  const place = (signs: string) => `${count(signs, from) + 1},${count(signs, to, from)}`
  return [`@@ -${place(' -')} +${place(' +')} @@`, ...lines.slice(from, to).map(({ sign, text }) => `${sign}${text}`)]
}

function compared(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1
  let end = 0
  const most = Math.min(before.length, after.length) - start
  while (end < most && before.at(-1 - end) === after.at(-1 - end)) end += 1
  const same = (lines: readonly string[]): Line[] => lines.map((text) => ({ sign: ' ', text }))
  return [
    ...same(before.slice(0, start)),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...same(before.slice(before.length - end)),
  ]
}

/** `lengths[i][j]`: of the longest common subsequence of what follows i and j. */
function middle(before: readonly string[], after: readonly string[]): Line[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1))
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0
  for (let i = before.length - 1; i >= 0; i--) {
    const row = lengths[i] as Uint32Array
    for (let j = after.length - 1; j >= 0; j--)
      row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
  }
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    const isSame = i < before.length && j < after.length && before[i] === after[j]
    if (isSame) lines.push({ sign: ' ', text: before[i] as string })
    else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1)))
      lines.push({ sign: '-', text: before[i] as string })
    else lines.push({ sign: '+', text: after[j] as string })
    const sign = lines.at(-1)?.sign
    if (sign !== '+') i += 1
    if (sign !== '-') j += 1
  }
  return lines
}
