/** `postgres()`: a PostgreSQL database with replicas, behind an endpoint that leads to the primary. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { defaultK } from '../../core/replicated/quorum.ts'
import { refusedSettings } from '../../drivers/postgres/files/server-settings.ts'
import { type PostgresOptions as Compiled, POSTGRES_DEFAULTS, postgresTraits } from '../../drivers/postgres/options.ts'
import { parseSize } from '../../lib/size.ts'
import type { Findings } from '../complaint.ts'
import type { PostgresOptions } from '../postgres-options.ts'
import * as v from '../schema/vocabulary.ts'
import type { Kind } from './kind.ts'
import { postgresShape } from './postgres-shape.ts'

/**
 * What replay gets through in about a second (core/replicated/expected-rto.ts), so readers are seldom further back than
 * that; and far more than standbys lack in everyday work, so none is left out for a hiccup.
 */
const MAX_LAG_BYTES = 16 * 1_048_576

const schema = z.strictObject(postgresShape).register(v.words, {
  what: 'options of postgres()',
  write: 'an object, such as { instances: 3, listen: 5432 }',
}) satisfies z.ZodType<PostgresOptions>

export const postgresKind: Kind<PostgresOptions> = {
  name: 'postgres',
  schema,
  traits: () => postgresTraits(),
  redundancy: 'active-passive',
  // Longer than for HTTP: no page is waiting to load, and a session that is closed costs more than one that waits.
  timing: { holdMs: 20_000 },
  check(path, options, findings) {
    checkCopies(path, options, findings)
    for (const why of refusedSettings(options.settings ?? {})) {
      findings.complain(`${path}.settings`, why, 'nothing for it')
    }
    if (options.adopt && options.data === undefined) {
      findings.complain(`${path}.data`, 'is missing: adopt takes over the data that is there', 'the data folder')
    }
    if (options.database?.owner === 'postgres') {
      findings.complain(`${path}.database.owner`, "is the superuser's own name", 'another name')
    }
  },
  endpoints: ({ listen, listenStandby }) => [
    ...(listen === undefined
      ? []
      : [{ option: 'listen', endpoint: { purpose: 'primary', protocol: 'postgres', port: listen } } as const]),
    ...(listenStandby === undefined
      ? []
      : [
          {
            option: 'listenStandby',
            endpoint: { purpose: 'standby', protocol: 'postgres', port: listenStandby },
          } as const,
        ]),
  ],
  ownPorts: ({ port }) => (port === undefined ? [] : [{ option: 'port', port }]),
  ownPlaces: ({ data }) => (data === undefined ? [] : [{ option: 'data', place: data }]),
  standby: () => 'warm',
  replication: ({ instances, sync, degrade, adopt, maxLag }) => ({
    k: Math.min(sync ?? defaultK(instances), instances - 1),
    ...(sync === undefined ? {} : { sync }),
    degrade: degrade ?? 'block',
    maxLagBytes: maxLag === undefined ? MAX_LAG_BYTES : (parseSize(maxLag) ?? MAX_LAG_BYTES),
    ...(adopt ? { adopts: true } : {}),
  }),
  compile,
}

function checkCopies(path: string, options: Partial<PostgresOptions>, findings: Findings): void {
  const { instances, sync, degrade } = options
  if (instances === undefined) return
  if (instances === 1) findings.warn(`${path}.instances`, 'is 1, so there is no other replica of the data', '3')
  if (sync !== undefined && sync > instances - 1) {
    findings.complain(
      `${path}.sync`,
      `is ${sync}, and there are ${instances - 1} standbys`,
      `${Math.max(1, instances - 1)} or less, or more instances`,
    )
  }
  if (instances === 2 && degrade === undefined) {
    findings.complain(
      `${path}.degrade`,
      'must say what happens when one of the two replicas is lost',
      "degrade: 'block' (writes wait for the second replica) or degrade: 'run-alone' (they go on with one)",
    )
  }
}

function compile(options: PostgresOptions, folder: string): Compiled {
  const { bin, database, limits = {} } = options
  const { bootstrap } = POSTGRES_DEFAULTS
  return {
    ...POSTGRES_DEFAULTS,
    bin: bin === undefined || bin === 'npm' ? (bin ?? null) : resolve(folder, bin),
    user: options.user ?? null,
    port: options.port ?? null,
    data: options.data === undefined ? null : resolve(folder, options.data),
    adopt: options.adopt ?? false,
    settings: options.settings ?? {},
    hba: options.hba ?? [],
    tls: compileTls(options.tls, folder),
    bootstrap: database
      ? { ...bootstrap, database: database.name, owner: database.owner, password: database.password }
      : bootstrap,
    sessions: { ...POSTGRES_DEFAULTS.sessions, ...options.sessions },
    limits: {
      ...POSTGRES_DEFAULTS.limits,
      walKeepMb: inMb(limits.keptLog) ?? POSTGRES_DEFAULTS.limits.walKeepMb,
      slotKeepMb: inMb(limits.heldLog) ?? POSTGRES_DEFAULTS.limits.slotKeepMb,
      freeSpaceMb: inMb(limits.freeSpace) ?? POSTGRES_DEFAULTS.limits.freeSpaceMb,
    },
  }
}

function compileTls(tls: PostgresOptions['tls'], folder: string): Compiled['tls'] {
  if (tls === false) return 'none'
  return tls ? { cert: resolve(folder, tls.cert), key: resolve(folder, tls.key) } : 'own'
}

function inMb(size: string | number | undefined): number | undefined {
  return size === undefined ? undefined : Math.ceil((parseSize(size) ?? 0) / 1_048_576)
}
