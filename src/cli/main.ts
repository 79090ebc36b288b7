#!/usr/bin/env node
import { killWhatIsDue, renewWhatRuns } from '../agent/first-act.ts'

const args = process.argv.slice(2)
killWhatIsDue(args)
await renewWhatRuns(args)
// Loaded only now: neither what is due nor a lease that runs out waits for it.
const [{ systemIo }, { run }, { flushOutput }] = await Promise.all([
  import('./io.ts'),
  import('./program.ts'),
  import('./flush-output.ts'),
])
const code = await run(args, systemIo())
process.exitCode = code
await flushOutput([process.stdout, process.stderr])
// Whatever may still be open (a connection, a signal handler) does not keep a command that is done for long; a slow reader did.
setTimeout(() => process.exit(code), 1_000).unref()
