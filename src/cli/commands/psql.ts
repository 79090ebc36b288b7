/**
 * Opens psql at an endpoint of the database. The balancer routes to the primary (or to a standby), also after the next
 * failover: psql's own \\c uses it again.
 */
import { spawn } from 'node:child_process'
import type { Status } from '../../client/index.ts'
import { isSecretRef, type SecretRef } from '../../core/secrets.ts'
import { UnderstudyError } from '../../errors.ts'
import { type CommonOptions, mustKnowNode, openSession, type Session } from '../cluster-session.ts'
import { type Database, mustBeDatabase, openEndpoint, serviceIn } from '../databases.ts'
import type { Io } from '../io.ts'
import { secretValueIn } from '../secrets-access.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface PsqlOptions extends CommonOptions {
  readonly standby?: boolean
  readonly superuser?: boolean
  readonly node?: string
  readonly user?: string
  readonly database?: string
  readonly printUrl?: boolean
}

/** Where psql is to go, without any password. */
interface Place {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

export const addPsql: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'psql', 'open psql at a database, through an open endpoint', EXAMPLE)
    .argument('<service>', 'its name')
    .argument('[args...]', 'after --: for psql itself')
    .option('--standby', 'at a standby: reads only, and they may be a little old')
    .option(
      '--superuser',
      'as the superuser, over the socket of the server itself: on its own machine, past the balancers',
    )
    .option('--node <name>', 'with --superuser: whose server (default: that of the primary)')
    .option('--user <name>', 'who to come in as (default: the owner that the config names)')
    .option('--database <name>', 'which database (default: the one that the config names)')
    .option('--print-url', 'print where it would go, and run nothing')
    .action(async (service: string, args: string[], options: PsqlOptions) => {
      const session = openSession(io, options)
      const database = mustBeDatabase(session, service)
      const { bootstrap, bin } = database.options
      if (options.superuser) {
        const place = await socketOf(session, database, options)
        if (options.json) printJson(io, { ...place })
        else if (options.printUrl) io.out(socketUrlOf(place))
        else exit(await runPsql(io, await psqlIn(bin), place, null, args))
        return
      }
      if (options.node !== undefined) throw new UnderstudyError('UND_BAD_REQUEST', '--node goes with --superuser')
      const endpoint = openEndpoint(await session.client.status(), service, options.standby ? 'standby' : 'primary')
      const user = options.user ?? bootstrap.owner ?? 'postgres'
      const place = {
        host: endpoint.host,
        port: endpoint.port,
        user,
        database: options.database ?? bootstrap.database ?? 'postgres',
      }
      if (options.json) printJson(io, { ...place, url: urlOf(place) })
      else if (options.printUrl) io.out(urlOf(place))
      else {
        const password = user === bootstrap.owner ? await passwordIn(session, bootstrap.password) : null
        exit(await runPsql(io, await psqlIn(bin), place, password, args))
      }
    })
}

/**
 * The server's own socket, which only its account and root can reach: no password is asked for there. With --node no
 * agent is asked, so it works as well when none answers.
 */
async function socketOf(session: Session, { name, options }: Database, wanted: PsqlOptions): Promise<Place> {
  if (wanted.user !== undefined || wanted.standby)
    throw new UnderstudyError(
      'UND_BAD_REQUEST',
      '--superuser goes with neither --user nor --standby; --node says which server',
    )
  if (wanted.node !== undefined) mustKnowNode(session, wanted.node)
  const node = wanted.node ?? primaryIn(await session.client.status(), name)
  const [{ Folder, dataFolderOn }, { RecordFile }, { accountFor }] = await Promise.all([
    import('../../drivers/postgres/files/replica-folder.ts'),
    import('../../drivers/postgres/files/durable-record.ts'),
    import('../../drivers/postgres/server/account.ts'),
  ])
  const data = dataFolderOn(node, options.data)
  const folder = new Folder(session.state.node(node), name, data, accountFor(options.user))
  const { port } = new RecordFile(folder.recordPath).load()
  if (port === null) throw new UnderstudyError('UND_REFUSED', `no server of ${name} has run on ${node} of this machine`)
  return {
    host: folder.sockets,
    port,
    user: 'postgres',
    database: wanted.database ?? options.bootstrap.database ?? 'postgres',
  }
}

function primaryIn(status: Status, name: string): string {
  const primary = serviceIn(status, name).instances.find(({ role }) => role === 'primary')
  if (primary) return primary.node
  throw new UnderstudyError('UND_REFUSED', `${name} has no primary now: name a server with --node`)
}

function socketUrlOf({ host, port, user, database }: Place): string {
  return `postgresql://${user}@/${encodeURIComponent(database)}?host=${encodeURIComponent(host)}&port=${port}`
}

function urlOf({ host, port, user, database }: Place): string {
  return `postgresql://${encodeURIComponent(user)}@${host}:${port}/${encodeURIComponent(database)}`
}

/** A secret is opened with the key of the state folder, where this user may read that; else psql asks. */
async function passwordIn({ state }: Session, password: string | SecretRef | null): Promise<string | null> {
  return isSecretRef(password) ? await secretValueIn(state, password.$secret) : password
}

async function psqlIn(bin: string | null): Promise<string> {
  const { findProgram } = await import('../../drivers/postgres/server/binaries.ts')
  const psql = findProgram('psql', bin)
  if (psql !== null) return psql
  throw new UnderstudyError(
    'UND_REFUSED',
    'there is no psql on this machine: install it, on Debian and Ubuntu with “apt-get install postgresql-client”; --print-url says where to go',
  )
}

/** Resolves to its exit code. The first password is handed over unless there is one already; `-- -W` asks for another. */
function runPsql(
  io: Io,
  psql: string,
  place: Place,
  password: string | null,
  args: readonly string[],
): Promise<number> {
  // Both would lead it to another server, past what is named here.
  const { PGHOSTADDR: _, PGSERVICE: __, ...inherited } = io.env
  const { PGPASSWORD, PGPASSFILE } = inherited
  const known = PGPASSWORD !== undefined || PGPASSFILE !== undefined || password === null
  const env = {
    ...inherited,
    PGHOST: place.host,
    PGPORT: String(place.port),
    PGUSER: place.user,
    PGDATABASE: place.database,
    ...(known ? {} : { PGPASSWORD: password }),
  }
  return new Promise((resolve, reject) => {
    const child = spawn(psql, [...args], { stdio: 'inherit', env })
    const ignore = () => {} // Ctrl-C is for psql: it cancels a query, and we wait for its end
    process.on('SIGINT', ignore)
    child.once('error', reject)
    child.once('close', (code) => {
      process.off('SIGINT', ignore)
      resolve(code ?? 1)
    })
  })
}

const EXAMPLE = `understudy psql db
understudy psql db --superuser
understudy psql db --standby -- -c 'select count(*) from orders'`
