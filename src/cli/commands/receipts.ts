import { type CommonOptions, mustKnowService, openSession } from '../cluster-session.ts'
import { receiptLines, receiptsLines } from '../print/print-events.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface ReceiptsOptions extends CommonOptions {
  readonly full?: boolean
  readonly service?: string
}

export const addReceipts: AddCommand = (program, io) => {
  clusterCommand(program, 'receipts', 'show what each failover, switchover and repair took', EXAMPLE)
    .option('--service <name>', 'only those of one service')
    .option('--full', 'each with its reason and every moment')
    .action(async (options: ReceiptsOptions) => {
      const session = openSession(io, options)
      if (options.service !== undefined) mustKnowService(session, options.service)
      const all = await session.client.receipts()
      const receipts = all.filter(({ service }) => options.service === undefined || service === options.service)
      if (options.json) printJson(io, receipts)
      else if (options.full && receipts.length > 0) {
        io.out(receipts.map((receipt) => receiptLines(io, receipt).join('\n')).join('\n\n'))
      } else for (const line of receiptsLines(io, receipts)) io.out(line)
    })
}

const EXAMPLE = `understudy receipts
understudy receipts --service mailer --full`
