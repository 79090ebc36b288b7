/**
 * From the command line in the config to what the gate executes.
 *
 * The trap: `sh -c 'node server.js'` leaves a shell in front of the program on many systems (dash does), and then the
 * pid that we watch, signal and freeze-check is the shell's. So a line that is one plain command gets an `exec` in
 * front and the shell becomes the program. Longer lines (`a && b`, pipes, loops) keep their shell; to avoid that, write
 * `exec` before the last command.
 */
import type { Run } from './options.ts'

/** Words that a shell answers itself: `exec` before one of these would look for a program of that name. */
const SHELL_WORDS = new Set(
  (
    '. : alias bg break case cd command continue do done elif else esac eval exec exit export fg fi for function getopts ' +
    'hash if in jobs let local read readonly return select set shift source then time times trap type typeset ulimit ' +
    'umask unalias unset until wait while ! { } [['
  ).split(' '),
)

/** The program and its arguments, ready for `exec "$@"`. */
export function commandWords(run: Run): readonly string[] {
  if (typeof run !== 'string') return run
  return ['/bin/sh', '-c', isOnePlainCommand(run) ? `exec ${run.trim()}` : run]
}

/** What to call it in a sentence: the first word. */
export function commandName(run: Run): string {
  const first = typeof run === 'string' ? run.trim().split(/\s+/)[0] : run[0]
  return first ?? ''
}

function isOnePlainCommand(line: string): boolean {
  // Quotes, redirections and $VARIABLES do no harm to `exec`; these join, group or nest commands. A false alarm (`;`
  // inside quotes) costs nothing but the shell in front.
  if (/[;&|()`\n{}]/.test(line)) return false
  const name = commandName(line)
  return name !== '' && !SHELL_WORDS.has(name) && !name.includes('=') && !/^[<>#$0-9]/.test(name)
}
