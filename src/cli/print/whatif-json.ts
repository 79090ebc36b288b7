/** The report as data: what a script needs, without what the printed tables are made from. */
import type { Row } from '../../whatif/report-row.ts'
import type { FullReport } from '../../whatif/whatif.ts'

export function reportJson(report: FullReport): unknown {
  const { singles, pairs, availability, ...rest } = report
  return {
    ...rest,
    singles: singles.map(jsonRow),
    pairs: {
      asked: pairs.asked,
      hurting: pairs.hurting.map(jsonRow),
      pausing: pairs.pausing,
      ...(pairs.all && { all: pairs.all.map(jsonRow) }),
    },
    availability: availability.map((one) => ({ ...one, nines: Number.isFinite(one.nines) ? one.nines : null })),
  }
}

export function jsonRow({ failures, outcomes, judged }: Row): unknown {
  return {
    failures: failures.map(({ id }) => id),
    judged,
    services: outcomes.map(({ done, ...outcome }) => ({
      ...outcome,
      steps: done.map(({ atMs, node, rule, step }) => ({ atMs, node, rule, step: step.kind })),
    })),
  }
}
