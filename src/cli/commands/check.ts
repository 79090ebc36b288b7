import type { ClusterSpec } from '../../core/model.ts'
import { stateFolder } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { configRoom } from '../lazy-rooms.ts'
import { tableLines } from '../print/columns.ts'
import { missingSecretsFor } from '../secrets-access.ts'
import { type AddCommand, jsonCommand, printJson } from './command.ts'

export const addCheck: AddCommand = (program, io) => {
  jsonCommand(program, 'check', 'say whether a config is right; start nothing', EXAMPLE)
    .argument('[file]', 'the config, or a folder that holds one (default: understudy.config.ts here)')
    .action(async (path: string | undefined, { json }: { readonly json?: boolean }) => {
      const config = await configRoom()
      const { file, raw } = await config.loadConfig(path)
      const { spec, warnings } = config.compileCluster(raw, { file })
      const missing = await missingSecretsFor(spec, stateFolder(io, {}))
      if (json) {
        printJson(io, { ok: true, file, warnings, ...(missing !== '' && { missing }), spec })
        return
      }
      for (const line of specLines(io, spec)) io.out(line)
      if (warnings.length > 0) io.out(`\n${config.printWarnings(warnings)}`)
      if (missing !== '') io.out(`\nWarning: ${missing}. “up” and “apply” refuse the config before.`)
      io.out(`\n${file} can be used.`)
    })
}

function specLines(io: Io, { name, nodes, services }: ClusterSpec): string[] {
  const places = nodes.map((node) => [node.name, node.address, node.zone])
  const plans = services.map(({ name: service, kind, redundancy, instances, endpoints, needs }) => [
    service,
    kind,
    redundancy,
    String(instances),
    endpoints.map(({ port }) => port).join(' '),
    needs.join(' '),
  ])
  return [
    io.paint.bold(name),
    '',
    ...tableLines(io, [{ title: 'NODE' }, { title: 'ADDRESS' }, { title: 'ZONE' }], places),
    '',
    ...tableLines(
      io,
      [
        { title: 'SERVICE' },
        { title: 'KIND' },
        { title: 'REDUNDANCY' },
        { title: 'INSTANCES', align: 'right' },
        { title: 'ENDPOINT', align: 'right' },
        { title: 'NEEDS' },
      ],
      plans,
    ),
  ]
}

const EXAMPLE = `understudy check
understudy check examples/shop/understudy.config.ts`
