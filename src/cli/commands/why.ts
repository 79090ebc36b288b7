import { type CommonOptions, mustKnowService, openSession } from '../cluster-session.ts'
import { explanationLines, receiptLines } from '../print/print-events.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

export const addWhy: AddCommand = (program, io) => {
  clusterCommand(program, 'why', 'say why a service is as it is, and what was done about it', 'understudy why web')
    .argument('<service>', 'its name')
    .action(async (service: string, options: CommonOptions) => {
      const session = openSession(io, options)
      mustKnowService(session, service)
      const explanation = await session.client.why(service)
      if (options.json) printJson(io, explanation)
      else {
        const last = (await session.client.receipts()).findLast((receipt) => receipt.service === service)
        for (const line of explanationLines(io, explanation)) io.out(line)
        if (last) io.out(['', io.paint.dim('WHAT IT TOOK LAST'), ...receiptLines(io, last)].join('\n'))
      }
    })
}
