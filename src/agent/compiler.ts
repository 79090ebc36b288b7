/**
 * An agent does the same little work for months, until the half second in which it has to fail something over. Then everything
 * becomes hot at once, and V8 would compile it for speed on other threads: a fifth of what an agent used in that half second,
 * taken from the servers that are being promoted. Nothing that an agent does is long enough to win that back, so its code stays
 * as the baseline compiler made it: idle it needs the same, and some megabytes less.
 */
import { setFlagsFromString } from 'node:v8'

/** For this process, from now on. A version of Node that does not know the flag says so on stderr and goes on. */
export function compileWithoutOptimizing(): void {
  setFlagsFromString('--no-opt')
}
