/** "Did you mean …": the candidate that a slip of the fingers most likely meant, or none. */

/** The closest candidate by edit distance, when at most a third of the word (one letter of a short one) would change. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const allowed = Math.max(1, Math.floor(word.length / 3))
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > allowed) continue // cheap bound: the distance is at least that
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance * 2 >= Math.max(word.length, candidate.length)) continue // half another word is another word: a, b
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { candidate, distance }
  }
  return best?.candidate
}

/**
 * Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours each count one (Damerau 1964,
 * Wagner and Fischer 1974). Three rows are enough, since a swap looks back two.
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let distance = Math.min(at(last, j) + 1, at(row, j - 1) + 1, substitution)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) distance = Math.min(distance, at(beforeLast, j - 2) + 1)
      row.push(distance)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
