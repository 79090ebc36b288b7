/** The health checks of `http()` and `command()`: what must be true between their options, and how they are compiled. */
import { resolve } from 'node:path'
import type { HealthOptions } from '../../drivers/process/options.ts'
import { type HttpsTerms, parseStatus, type StatusRange } from '../../lib/http-question.ts'
import type { Findings } from '../complaint.ts'
import type { CheckOption } from '../service-options.ts'

export function checkHealthCheck(
  path: string,
  check: Partial<CheckOption> | undefined,
  write: string,
  findings: Findings,
): void {
  if (check === undefined) return
  if (Object.keys(check).length === 0) findings.complain(path, 'says nothing to check', `${write}, or leave it out`)
  const names = Object.keys(check.headers ?? {}).map((name) => name.toLowerCase())
  const twice = names.find((name, at) => names.indexOf(name) < at)
  if (twice !== undefined) findings.complain(`${path}.headers`, `says ${twice} twice`, 'it once')
}

/** Of `command()`, where a path and HTTPS are a choice. */
export function checkHttpOptions(path: string, check: Partial<CheckOption>, findings: Findings): void {
  if (check.http === undefined) {
    for (const option of ['status', 'headers', 'https'] as const) {
      if (check[option] === undefined) continue
      findings.complain(
        `${path}.${option}`,
        'is for a path that is asked',
        "http: '/healthz' beside it, or leave it out",
      )
    }
  }
  for (const option of ['servername', 'ca'] as const) {
    if (check[option] === undefined || check.https) continue
    findings.complain(`${path}.${option}`, 'is for a check over HTTPS', 'https: true beside it, or leave it out')
  }
}

export function compileHealth(http: string | null, check: Partial<CheckOption>, folder: string): HealthOptions {
  const { status, headers, https } = check
  const asks = {
    ...(status === undefined ? {} : { status: rangesOf(status) }),
    ...(headers === undefined ? {} : { headers }),
    ...(https ? { https: termsOf(check, folder) } : {}),
  }
  const some = Object.keys(asks).length > 0 ? { asks } : {}
  return { http, exec: check.exec ?? null, ...some }
}

function rangesOf(status: NonNullable<CheckOption['status']>): readonly StatusRange[] {
  const written = typeof status === 'object' ? status : [status]
  return written.flatMap((one) => {
    const range = parseStatus(one)
    return range ? [range] : []
  })
}

function termsOf({ servername, ca }: Partial<CheckOption>, folder: string): HttpsTerms {
  return {
    ...(servername === undefined ? {} : { servername }),
    ...(ca === undefined ? {} : { ca: resolve(folder, ca) }),
  }
}
