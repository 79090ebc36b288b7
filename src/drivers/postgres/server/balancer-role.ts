/**
 * The login of the balancers. A balancer that moves a session to another primary logs in there as the same user, and
 * for that it needs to know once what the server keeps of that user's password (lib/scram.ts). So there is a role of
 * the balancers that may call one function, and nothing else; a verifier is not enough to log in, but is still a
 * secret.
 *
 * Checked whenever a quorum row has become durable: after the first replica was created, after each promotion, and when
 * an agent finds a primary that was made by an older version. What is right already is not written again.
 */
import type { ServiceName, ServiceSpec } from '../../../core/model.ts'
import { isVerifierOf, verifierOf } from '../../../lib/scram.ts'
import type { BalancerNeeds } from '../../balancer-login.ts'
import type { PostgresOptions } from '../options.ts'
import type { Replica } from '../replica.ts'
import { BALANCER_ROLE, DATABASE, REPLICATION_ROLE, SUPERUSER } from '../role-names.ts'
import { ident } from './catalog.ts'
import { keepRole } from './role-upkeep.ts'

/** Sessions of Understudy's own roles are never moved. */
const FUNCTION = `
create or replace function understudy.verifier(name text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $body$
  select rolpassword from pg_catalog.pg_authid
  where rolname = $1 and rolcanlogin and rolname not in ('${SUPERUSER}', '${REPLICATION_ROLE}', '${BALANCER_ROLE}')
$body$;
revoke all on function understudy.verifier(text) from public;
grant execute on function understudy.verifier(text) to ${BALANCER_ROLE};
grant usage on schema understudy to ${BALANCER_ROLE};
grant connect on database ${DATABASE} to ${BALANCER_ROLE};
`

const WHAT_IS_THERE = `
select (select rolpassword from pg_authid where rolname = '${BALANCER_ROLE}') as verifier,
  exists (select 1 from pg_roles where rolname = '${BALANCER_ROLE}') as role,
  exists (
    select 1 from pg_proc, pg_roles where pg_proc.oid = to_regprocedure('understudy.verifier(text)')
      and rolname = '${BALANCER_ROLE}' and has_function_privilege(pg_roles.oid, pg_proc.oid, 'execute')
  ) as function`

/** The same on every node of the cluster, and not to be had without its token. */
export function balancerPasswordOf(service: ServiceName, secretFor: (purpose: string) => string): string {
  return secretFor(`door of ${service}`)
}

export function balancerNeeds({ name, options }: ServiceSpec, secretFor: (purpose: string) => string): BalancerNeeds {
  const { tls, sessions } = options as unknown as PostgresOptions
  return {
    login: { user: BALANCER_ROLE, password: balancerPasswordOf(name, secretFor), database: DATABASE },
    tls,
    sessions,
  }
}

/** Until it is there, balancers serve but move no sessions. */
export function keepBalancerLogin(replica: Replica): Promise<void> {
  return keepRole(replica, 'the login of the balancers', async (ask) => {
    const { balancerPassword } = replica.parts
    const [there] = await ask(WHAT_IS_THERE)
    const isKnown = isVerifierOf(there?.verifier, balancerPassword)
    if (isKnown && there?.function === true) return
    const verb = there?.role === true ? 'alter' : 'create'
    const role = isKnown
      ? ''
      : `${verb} role ${ident(BALANCER_ROLE)} login noinherit nosuperuser nocreaterole nocreatedb noreplication password '${verifierOf(balancerPassword)}';`
    await ask(`begin; set local synchronous_commit = local; ${role} ${FUNCTION} commit`)
  })
}
