/**
 * Takes back what a replica has of its own, by pg_rewind: the pages that differ from the primary's, instead of a whole
 * clone. The divergence was proven before (follow.ts); its own judgement is not used, because it looks at the primary's
 * last checkpoint, which may be of the old timeline (trap 21).
 *
 * From its beginning to its end the data is of two histories. An unfinished rewind leaves that for ever, and only a
 * clone helps then: so a more urgent verb does not end it at once, but lets it finish when it can within moments. When
 * its source was lost or frozen it cannot.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import type { Cancel } from '../../../lib/clock.ts'
import { until } from '../../../lib/until.ts'
import { execAs } from '../../as-account.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { makeStandby } from '../files/replica-folder.ts'
import { includeOurs } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { DATABASE, REPLICATION_ROLE } from '../role-names.ts'
import { serverEnvironment } from '../server/postmaster.ts'
import { factsOf, type PrimaryFacts, tablespacesOf } from '../verbs/remote-primary.ts'
import { canRewindTo, tablespacesIn } from './tablespaces.ts'

/** What it gets to finish when recruiting or an end waits for it. */
const FINISH_MS = 3_000

/** A node that vanished says nothing, not even that it is gone: found out within 20 s instead of the kernel's 2 hours. */
const IMPATIENT = 'connect_timeout=5 keepalives_idle=10 keepalives_interval=2 keepalives_count=5 tcp_user_timeout=20000'

/** False when it cannot be done or did nothing: then only a clone is sound. */
export async function rewind(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  facts: PrimaryFacts,
  signal: AbortSignal,
): Promise<boolean> {
  const { binaries, folder, clock, options, tell, record } = replica.parts
  if (binaries.rewind === null) return false
  const theirs = await tablespacesOf(replica, primary)
  if (theirs === null || !canRewindTo(theirs, tablespacesIn(folder.data))) return false
  const what = `a checkpoint of ${primary.node}`
  const patience = { clock, everyMs: 50, withinMs: options.timing.promoteMs, what, signal }
  await until(
    patience,
    async () => (await factsOf(replica, quorum, primary, signal)).checkpointTimeline === facts.timeline,
  )
  await replica.end('fast', 60_000, 'ended to be rewound')
  signal.throwIfAborted() // from here on its data is of two histories
  tell(`rewinding to where ${primary.node} went another way`)
  record.change({ torn: true })
  if (!(await runRewind(replica, binaries.rewind, primary, signal))) return false
  makeStandby(folder)
  includeOurs(folder, folder.data)
  const target = (await factsOf(replica, quorum, primary, signal)).log
  record.change({
    lineage: facts.lineage,
    quarantinedUntil: target.toString(),
    suspect: false,
    torn: false,
  })
  return true
}

/** True when it rewound. Alone only for its test. */
export async function runRewind(
  replica: Replica,
  program: string,
  { node, host, port }: PrimaryAddress,
  signal: AbortSignal,
): Promise<boolean> {
  const { binaries, folder, clock, tell, replicationPassword } = replica.parts
  const source = `host=${host} port=${port} user=${REPLICATION_ROLE} dbname=${DATABASE} ${IMPATIENT}`
  const overdue = new AbortController()
  let cancel: Cancel = () => {}
  const hurry = () => {
    cancel = clock.after(FINISH_MS, () => overdue.abort())
  }
  signal.addEventListener('abort', hurry)
  try {
    const { stdout, stderr } = await execAs(
      folder.account,
      program,
      ['--target-pgdata', folder.data, '--source-server', source, '--no-ensure-shutdown'],
      {
        cwd: folder.data,
        env: { ...serverEnvironment(), ...binaries.env, PGPASSWORD: replicationPassword },
        maxBuffer: 16_777_216,
        signal: overdue.signal,
        killSignal: 'SIGKILL',
      },
    )
    // Said with exit code 0 where it looked at the wrong timeline (trap 21): the divergence was proven before.
    return !/no rewind required/.test(stdout + stderr)
  } catch (error) {
    const why = overdue.signal.aborted
      ? `nothing came of it within ${FINISH_MS / 1_000} s, and something else was more urgent`
      : String((error as { stderr?: unknown }).stderr ?? error).slice(-300)
    tell(`pg_rewind to ${node} failed, so everything is copied: ${why}`)
    return false
  } finally {
    signal.removeEventListener('abort', hurry)
    cancel()
  }
}
