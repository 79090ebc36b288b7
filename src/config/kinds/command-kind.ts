/** `command()`: any other process: a worker without an endpoint, or a server behind a TCP endpoint. */
import { z } from 'zod'
import { processTraits } from '../../drivers/process/options.ts'
import * as v from '../schema/vocabulary.ts'
import type { CommandOptions } from '../service-options.ts'
import { tcpEndpoint } from './endpoint-options.ts'
import { checkHealthCheck, checkHttpOptions, compileHealth } from './health-options.ts'
import type { Kind } from './kind.ts'
import { checkProcess, compileProcess, processEndpoints } from './process-options.ts'
import { checkShape, httpsShape, processShape } from './process-shape.ts'

const WRITE = "{ exec: './healthy.sh' } or { http: '/healthz' }"

const commandCheckShape = {
  http: v.option(v.urlPath, {
    means: "A path asked at the instance's own HOST and PORT; 2xx and 3xx are healthy.",
    default: 'none',
    turn: 'For a program that serves HTTP for this purpose only.',
    breaks: 'A program that does not listen at HOST and PORT is never healthy.',
  }),
  ...checkShape,
  ...httpsShape,
}

const schema = z
  .strictObject({
    listen: v.option(v.port, {
      means:
        'The port that clients connect to over TCP, the same on every node; without it the service has no endpoint.',
      default: 'none',
      turn: 'Set it when clients connect to the program.',
      breaks: 'Taken by another program: the endpoint of that node does not open, and an event says so.',
    }),
    check: v.option(v.group(commandCheckShape, 'a check', WRITE), {
      means: 'How to find out whether an instance is healthy; all that is given must pass.',
      default: 'an instance is healthy when it runs',
      turn: 'Always, if the program can hang without ending.',
      breaks: 'Without it a hung program looks healthy.',
    }),
    endpoint: tcpEndpoint,
    ...processShape,
  })
  .register(v.words, {
    what: 'options of command()',
    write: "an object, such as { run: 'node worker.js' }",
  }) satisfies z.ZodType<CommandOptions>

export const commandKind: Kind<CommandOptions> = {
  name: 'command',
  schema,
  traits: (options) => processTraits(options.redundancy ?? 'active-active'),
  check(path, options, findings) {
    checkProcess(path, options, findings)
    if (options.endpoint !== undefined && options.listen === undefined) {
      findings.complain(
        `${path}.endpoint`,
        'is for a service that clients connect to',
        'listen: 9000 beside it, or leave it out',
      )
    }
    checkHealthCheck(`${path}.check`, options.check, WRITE, findings)
    checkHttpOptions(`${path}.check`, options.check ?? {}, findings)
  },
  endpoints: (options) => processEndpoints('tcp', options),
  ownPorts: ({ port }) => (port === undefined ? [] : [{ option: 'port', port }]),
  standby: (options) => options.standby ?? 'cold',
  compile: ({ check, ...options }, folder) =>
    compileProcess(options, compileHealth(check?.http ?? null, check ?? {}, folder), folder),
}
