import { type CommonOptions, openSession, type Session } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { eventLine, eventLines } from '../print/print-events.ts'
import { type AddCommand, clusterCommand, countOption, printJson, printJsonLine } from './command.ts'

interface EventsOptions extends CommonOptions {
  readonly follow?: boolean
  readonly lines?: number
}

export const addEvents: AddCommand = (program, io) => {
  clusterCommand(program, 'events', 'show what was noticed, decided and done', EXAMPLE)
    .option('-f, --follow', 'go on with what happens, over the death of any node, until Ctrl-C')
    .option('-n, --lines <count>', 'how many of the newest (default: 50; with --follow: 10)', countOption)
    .action(async (options: EventsOptions) => {
      const session = openSession(io, options)
      if (options.follow) await follow(io, session, options)
      else await show(io, session, options)
    })
}

async function show(io: Io, { client }: Session, { json, lines }: EventsOptions): Promise<void> {
  const events = await client.events({ last: lines ?? 50 })
  if (json) printJson(io, events)
  else if (events.length === 0) io.out('Nothing has happened yet.')
  else for (const line of eventLines(io, events)) io.out(line)
}

async function follow(io: Io, { client }: Session, { json, lines }: EventsOptions): Promise<void> {
  // A cluster that does not run is reported at once; one that goes away later may come back.
  await client.status()
  let away = false
  const onAway = () => {
    if (!away) io.err('no agent answers; still trying (Ctrl-C ends this)')
    away = true
  }
  for await (const event of client.follow({ last: lines ?? 10, onAway })) {
    away = false
    if (json) printJsonLine(io, event)
    else io.out(eventLine(io, event))
  }
}

const EXAMPLE = `understudy events -f
understudy events -n 1000 --json | jq -r '.[] | select(.service == "web") | .why'`
