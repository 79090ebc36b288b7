#!/usr/bin/env node
import { systemIo } from './io.ts'
import { run } from './program.ts'

const code = await run(process.argv.slice(2), systemIo())
// Not process.exit at once: what was written to a pipe must get through first.
process.exitCode = code
setTimeout(() => process.exit(code), 1_000).unref()
