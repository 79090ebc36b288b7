/**
 * The password that the config gives to the owner of its database. It is set when the role is made, and set again when the config
 * has another one than it had. A password that was changed with ALTER ROLE since then stays: the config is only followed when it
 * changes, so the database remembers which password of the config it has taken last, as a SCRAM verifier that travels with the data.
 *
 * No session ends for it, and no server restarts.
 */

import { isSecretRef } from '../../../core/secrets.ts'
import { isVerifierOf, verifierOf } from '../../../lib/scram.ts'
import { refusal } from '../../driver-refusal.ts'
import type { SecretSource } from '../../secret-source.ts'
import type { PostgresOptions } from '../options.ts'
import type { Replica } from '../replica.ts'
import { type Bootstrap, ident, literal } from './catalog.ts'
import { type Ask, keepRole } from './role-upkeep.ts'

/** The one place where the password of the config is read; null: the config names none. */
export function ownerLogin(
  { bootstrap }: PostgresOptions,
  secrets: SecretSource | undefined,
): { readonly owner: string; readonly password: string } | null {
  const { owner, password } = bootstrap
  if (owner === null || password === null) return null
  return { owner, password: isSecretRef(password) ? openNow(password.$secret, secrets) : password }
}

/** What the catalog is prepared with, the password opened. Throws a refusal when it is a secret that cannot be. */
export function openedBootstrap({ options, secrets }: Replica['parts']): Bootstrap {
  return { ...options.bootstrap, password: ownerLogin(options, secrets)?.password ?? null }
}

function openNow(name: string, secrets: SecretSource | undefined): string {
  const sealed = secrets?.sealed(name)
  if (!secrets || !sealed) throw refusal(`secret “${name}” is not set, as far as this node knows`)
  return secrets.open(name, sealed)
}

const TAKEN = 'understudy.config_passwords'

const WHAT_IS_THERE = `
select exists (select 1 from pg_roles where rolname = $1) as role, to_regclass('${TAKEN}') is not null as remembers`

/** Of use on a primary whose quorum row is durable. */
export async function keepOwnerPassword(replica: Replica): Promise<void> {
  const { options, secrets } = replica.parts
  if (options.bootstrap.owner === null) return
  await keepRole(replica, `the password of ${options.bootstrap.owner}`, async (ask) => {
    const login = ownerLogin(options, secrets)
    if (login === null) return
    const { taken, role } = await whatIsThere(ask, login.owner)
    const todo = passwordWork(taken, login.password, role)
    if (todo === 'nothing') return
    await ask(sqlFor(login, todo))
    if (todo === 'change') replica.parts.tell(`the password of ${login.owner} was changed, as the config says`)
  })
}

async function whatIsThere(ask: Ask, owner: string) {
  const [there] = await ask(WHAT_IS_THERE, [owner])
  if (there?.remembers !== true) return { role: there?.role === true, taken: undefined }
  const [row] = await ask(`select verifier from ${TAKEN} where role = $1`, [owner])
  return { role: there.role === true, taken: row === undefined ? undefined : String(row.verifier) }
}

/**
 * `taken`: made of the password of the config that was taken last; undefined: an earlier version of Understudy made the role, and
 * what it has may have been changed since.
 */
export function passwordWork(
  taken: string | undefined,
  password: string,
  role: boolean,
): 'nothing' | 'remember' | 'change' {
  if (!role) return 'nothing' // an operator dropped it
  if (taken === undefined) return 'remember'
  return isVerifierOf(taken, password) ? 'nothing' : 'change'
}

/** Verifiers alone: a statement may be logged. */
function sqlFor({ owner, password }: { owner: string; password: string }, todo: 'remember' | 'change'): string {
  const verifier = literal(verifierOf(password))
  return [
    'begin; set local synchronous_commit = local',
    `create table if not exists ${TAKEN} (role text primary key, verifier text not null)`,
    todo === 'change' ? `alter role ${ident(owner)} password ${verifier}` : 'select',
    `insert into ${TAKEN} values (${literal(owner)}, ${verifier})
     on conflict (role) do update set verifier = excluded.verifier`,
    'commit',
  ].join(';\n')
}
