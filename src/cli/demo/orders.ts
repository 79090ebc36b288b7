/**
 * The orders of the demo's customers: each has an id that its customer chose, and every acknowledged order must be in
 * the database at the end. The example brings the check itself, because it knows the way to its database.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Check {
  readonly ok: boolean
  /** A sentence. */
  readonly says: string
}

/** Ids by the number of the request, one such list for each stream of customers. */
export class OrderIds {
  readonly #ids = new Map<number, string>()

  /** The same for the same request. */
  of(index: number): string {
    const known = this.#ids.get(index)
    if (known !== undefined) return known
    const id = randomUUID()
    this.#ids.set(index, id)
    return id
  }
}

/** Asks the balancer at `address`. Not ok when something is missing, when nothing was ordered, or without an answer. */
export async function checkOrders(shop: string, address: string, acknowledged: readonly string[]): Promise<Check> {
  const file = join(shop, 'data', 'acknowledged-orders')
  writeFileSync(file, acknowledged.map((id) => `${id}\n`).join(''))
  const check = await runCheck(shop, 'check-orders.mjs', [file], { HOST: address })
  return { ...check, ok: check.ok && acknowledged.length > 0 }
}

/** The example brings its own check of the log that workers sign; it exits with 1 when two ran at once. */
export function checkWorkers(shop: string): Promise<Check> {
  return runCheck(shop, 'check-worker-log.mjs', [join(shop, 'data')])
}

async function runCheck(shop: string, script: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Check> {
  const options = { env: { ...process.env, ...env }, timeout: 30_000 }
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [join(shop, script), ...args], options)
    return { ok: true, says: stdout.trim() }
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    return { ok: false, says: (stdout || stderr || String(error)).trim() }
  }
}
