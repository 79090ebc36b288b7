/** `http()`: a process that answers HTTP, behind an HTTP endpoint. */
import { z } from 'zod'
import { processTraits } from '../../drivers/process/options.ts'
import * as v from '../schema/vocabulary.ts'
import type { HttpOptions } from '../service-options.ts'
import { httpEndpoint } from './endpoint-options.ts'
import { checkHealthCheck, compileHealth } from './health-options.ts'
import type { Kind } from './kind.ts'
import { checkProcess, compileProcess, processEndpoints } from './process-options.ts'
import { checkShape, processShape } from './process-shape.ts'

const schema = z
  .strictObject({
    listen: v.required(v.port, {
      means: 'The port that clients connect to, the same on every node.',
      turn: 'Any port that is free on every node; below 1024 agents need the right to listen there.',
      breaks: 'Taken by another program: the endpoint of that node does not open, and an event says so.',
    }),
    healthy: v.option(v.urlPath, {
      means:
        'The path that is asked to find out whether an instance is healthy: 2xx and 3xx are, anything else is not.',
      default: "'/'",
      turn: 'A path whose answer does a little of the real work.',
      breaks: 'One that needs a database makes every instance unhealthy when the database fails over.',
    }),
    check: v.option(v.group(checkShape, 'a check', "{ status: 200 } or { exec: './healthy.sh' }"), {
      means: 'How the path is asked, and a further check by a program, which must pass as well.',
      default: 'as below',
      turn: 'See each option.',
      breaks: 'It runs every `probeEvery`: an expensive one is a load of its own.',
    }),
    endpoint: httpEndpoint,
    ...processShape,
  })
  .register(v.words, {
    what: 'options of http()',
    write: "an object, such as { run: 'node server.js', listen: 8080 }",
  }) satisfies z.ZodType<HttpOptions>

export const httpKind: Kind<HttpOptions> = {
  name: 'http',
  schema,
  traits: (options) => processTraits(options.redundancy ?? 'active-active'),
  check(path, options, findings) {
    checkProcess(path, options, findings)
    checkHealthCheck(`${path}.check`, options.check, "{ status: 200 } or { exec: './healthy.sh' }", findings)
  },
  endpoints: (options) => processEndpoints('http', options),
  ownPorts: ({ port }) => (port === undefined ? [] : [{ option: 'port', port }]),
  standby: (options) => options.standby ?? 'cold',
  compile: (options, folder) =>
    compileProcess(options, compileHealth(options.healthy ?? '/', options.check ?? {}, folder), folder),
}
