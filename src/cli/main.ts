#!/usr/bin/env node
import { killWhatIsDue } from '../agent/first-act.ts'

const args = process.argv.slice(2)
killWhatIsDue(args)
// Loaded only now: what is due does not wait for it.
const [{ systemIo }, { run }] = await Promise.all([import('./io.ts'), import('./program.ts')])
const code = await run(args, systemIo())
// Not process.exit at once: what was written to a pipe must get through first.
process.exitCode = code
setTimeout(() => process.exit(code), 1_000).unref()
