/**
 * What `http()` and `command()` share: both run processes, by one driver. What must be true between their options, and
 * how they become what the driver reads. The schema is in process-shape.ts.
 */
import { resolve } from 'node:path'
import type { EndpointSpec, Redundancy } from '../../core/model.ts'
import { PROCESS_DEFAULTS, type ProcessLimits, type ProcessOptions } from '../../drivers/process/options.ts'
import { parseDuration } from '../../lib/duration.ts'
import { parseSize } from '../../lib/size.ts'
import { type Findings, under } from '../complaint.ts'
import type {
  HttpEndpointOptions,
  LimitOptions,
  ProcessServiceOptions,
  PromoteOption,
  TcpEndpointOptions,
} from '../service-options.ts'
import { compileEndpoint } from './endpoint-options.ts'
import type { PlacedEndpoint } from './kind.ts'

type EndpointOptions = HttpEndpointOptions & TcpEndpointOptions

const DRIVER_SETS = /^(PORT|HOST|UNDERSTUDY_.*)$/

/** What is wrong between options that are each right by themselves. `path` is the service's own, `services.web`. */
export function checkProcess(path: string, options: Partial<ProcessServiceOptions>, findings: Findings): void {
  for (const option of ['env', 'secretFiles'] as const) {
    for (const variable of Object.keys(options[option] ?? {}).filter((key) => DRIVER_SETS.test(key))) {
      const write = variable === 'PORT' ? 'port: 8080 beside env, to choose the port' : 'another name'
      findings.complain(under(`${path}.${option}`, variable), 'is a variable that Understudy itself sets', write)
    }
  }
  for (const variable of Object.keys(options.secretFiles ?? {}).filter((key) => Object.hasOwn(options.env ?? {}, key)))
    findings.complain(under(`${path}.secretFiles`, variable), 'is in env as well', 'it in one of the two')
  const { promote } = options
  if (promote !== undefined && (promote.signal === undefined) === (promote.http === undefined)) {
    findings.complain(`${path}.promote`, 'must say exactly one way', "{ signal: 'SIGUSR2' } or { http: '/promote' }")
  }
  checkStandby(path, options, findings)
  const cpuTime = options.limits?.cpuTime
  if (cpuTime !== undefined && (parseDuration(cpuTime) ?? 0) % 1000 !== 0) {
    findings.complain(`${path}.limits.cpuTime`, 'is not a whole number of seconds', "'1s' or more, such as '60s'")
  }
}

function checkStandby(path: string, options: Partial<ProcessServiceOptions>, findings: Findings): void {
  const passive = options.redundancy === 'active-passive'
  if (options.standby !== undefined && !passive) {
    findings.complain(
      `${path}.standby`,
      'is for a service that has standbys',
      "redundancy: 'active-passive' beside it, or leave it out",
    )
  }
  if (options.promote !== undefined && !(passive && options.standby === 'warm')) {
    findings.complain(
      `${path}.promote`,
      'is for standbys that run before they are needed',
      "redundancy: 'active-passive' and standby: 'warm' beside it, or leave it out",
    )
  }
}

/** One endpoint where `listen` says: to every instance, or to the primary. */
export function processEndpoints(
  protocol: EndpointSpec['protocol'],
  options: { readonly listen?: number; readonly redundancy?: Redundancy; readonly endpoint?: EndpointOptions },
): readonly PlacedEndpoint[] {
  if (options.listen === undefined) return []
  const purpose = options.redundancy === 'active-passive' ? 'primary' : 'serving'
  const limits = compileEndpoint(options.endpoint ?? {})
  const some = Object.keys(limits).length > 0 ? { limits } : {}
  return [{ option: 'listen', endpoint: { purpose, protocol, port: options.listen, ...some } }]
}

/** The driver's options: every default filled in. `folder` is where relative paths start. */
export function compileProcess(
  options: ProcessServiceOptions,
  health: ProcessOptions['health'],
  folder: string,
): ProcessOptions {
  return {
    run: options.run,
    cwd: resolve(folder, options.cwd ?? '.'),
    env: options.env ?? {},
    ...(options.secretFiles && { secretFiles: options.secretFiles }),
    user: options.user ?? null,
    stopSignal: options.stopSignal ?? PROCESS_DEFAULTS.stopSignal,
    limits: compileLimits(options.limits),
    port: options.port ?? null,
    health,
    promote: compilePromote(options.promote),
    logBytes: sizeOr(options.log?.size, PROCESS_DEFAULTS.logBytes),
    logFiles: options.log?.files ?? PROCESS_DEFAULTS.logFiles,
  }
}

function compileLimits(limits: LimitOptions = {}): ProcessLimits {
  return {
    ...(limits.openFiles === undefined ? {} : { openFiles: limits.openFiles }),
    ...(limits.memory === undefined ? {} : { memoryBytes: sizeOr(limits.memory, 0) }),
    ...(limits.cpuTime === undefined ? {} : { cpuSeconds: (parseDuration(limits.cpuTime) ?? 0) / 1000 }),
  }
}

function compilePromote(promote: PromoteOption | undefined): ProcessOptions['promote'] {
  if (promote?.http !== undefined) return { http: promote.http }
  return promote?.signal === undefined ? null : { signal: promote.signal }
}

function sizeOr(size: string | number | undefined, otherwise: number): number {
  return size === undefined ? otherwise : (parseSize(size) ?? otherwise)
}
