/** How an instance ended, as a sentence. */
import { formatDuration } from '../../lib/duration.ts'
import { commandName } from './command-line.ts'
import { interpreterProblem } from './not-runnable.ts'
import type { Run } from './options.ts'

/** What was seen of an end. Only a parent learns code and signal; an adopted process is just gone. */
export type Ending =
  | { readonly seen: 'exit'; readonly code: number | null; readonly signal: NodeJS.Signals | null }
  | { readonly seen: 'gone' }

/** The gate's own exit code when a limit could not be set (spawn.ts). */
export const LIMIT_REFUSED_CODE = 125

/** `cwd`: where it ran. */
export function describeEnding(ending: Ending, run: Run, ranForMs: number, cwd: string): string {
  const after = `after ${formatDuration(ranForMs)}`
  if (ending.seen === 'gone') return `ended ${after}; an earlier agent started it, so its exit code is not known`
  if (ending.signal !== null) return `killed by ${ending.signal} ${after}`
  switch (ending.code) {
    // 126 and 127 are what POSIX shells end with; a program may use them too, so the sentence names the source.
    case 127:
      return `${interpreterProblem(run, cwd) ?? `command not found: ${commandName(run)}`} (sh ended with code 127 ${after})`
    case 126:
      return `${interpreterProblem(run, cwd) ?? `command cannot be executed: ${commandName(run)}`} (sh ended with code 126 ${after})`
    case LIMIT_REFUSED_CODE:
      return `ended with code ${LIMIT_REFUSED_CODE} ${after}: if the log says "ulimit", a limit was refused`
    default:
      return `ended with code ${ending.code} ${after}`
  }
}
