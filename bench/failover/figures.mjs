/** From runs to what is printed of them. */

/** Nearest rank; `share` of 0 to 1. */
export function percentile(values, share) {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}

/** What ten runs of one fault on one system say. */
export function summary({ system, fault, runs }) {
  const gaps = runs.map(({ longestGapMs }) => longestGapMs)
  const receipts = runs.flatMap(({ receipt }) => receipt ?? [])
  const names = [...new Set(receipts.flatMap((receipt) => Object.keys(receipt)))]
  return {
    system,
    fault,
    runs: runs.length,
    gapMs: { p50: percentile(gaps, 0.5), p95: percentile(gaps, 0.95), max: percentile(gaps, 1) },
    failedStatements: runs.reduce((sum, { failed }) => sum + failed, 0),
    idleErrors: runs.filter(({ idleError }) => idleError !== null).length,
    lostRows: runs.reduce((sum, { lost }) => sum + lost, 0),
    // Half of the runs had got so far this many milliseconds after the fault.
    receipt: Object.fromEntries(
      names
        .map((name) => [
          name,
          percentile(
            receipts.flatMap((receipt) => receipt[name] ?? []),
            0.5,
          ),
        ])
        .sort(([, one], [, other]) => one - other),
    ),
  }
}

const COLUMNS = [
  ['system', ({ system }) => system],
  ['fault', ({ fault }) => fault],
  ['runs', ({ runs }) => runs],
  ['gap p50', ({ gapMs }) => ms(gapMs.p50)],
  ['p95', ({ gapMs }) => ms(gapMs.p95)],
  ['max', ({ gapMs }) => ms(gapMs.max)],
  ['failed statements', ({ failedStatements }) => failedStatements],
  ['idle connection cut', ({ idleErrors, runs }) => `${idleErrors} of ${runs}`],
  ['lost rows', ({ lostRows }) => lostRows],
  ['not got over', ({ notGotOver }) => notGotOver || ''],
  ['times Understudy', ({ ratio }) => (ratio ? ratio.toFixed(1) : '')],
]

/** As wide as its widest cell; fit for a terminal and for a fixed-width block in a page. */
export function table(summaries) {
  const ours = new Map(summaries.filter(({ system }) => system === 'Understudy').map((one) => [one.fault, one]))
  const withRatio = summaries.map((one) => {
    const own = ours.get(one.fault)
    return own && own !== one ? { ...one, ratio: one.gapMs.p50 / own.gapMs.p50 } : one
  })
  const rows = [
    COLUMNS.map(([title]) => title),
    ...withRatio.map((one) => COLUMNS.map(([, cell]) => String(cell(one)))),
  ]
  const used = COLUMNS.map((_, at) => at).filter((at) => rows.slice(1).some((row) => row[at] !== ''))
  const widths = used.map((at) => Math.max(...rows.map((row) => row[at].length)))
  return rows
    .map((row) =>
      used
        .map((at, n) => row[at].padEnd(widths[n]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function receiptLine({ fault, receipt }) {
  const marks = Object.entries(receipt).map(([name, at]) => `${name} ${ms(at)}`)
  return marks.length === 0 ? null : `${fault}: ${marks.join(' → ')}`
}

function ms(value) {
  return value === null ? '-' : `${Math.round(value)} ms`
}
