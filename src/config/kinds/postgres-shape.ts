/** The options of `postgres()` as a schema. What must be true between them, and how they are compiled, is in postgres-kind.ts. */
import { z } from 'zod'
import { serviceShape } from '../schema/service-schema.ts'
import * as v from '../schema/vocabulary.ts'

const settings = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.]*$/), z.union([z.string(), z.number(), z.boolean()]))
  .register(v.words, {
    what: 'an object of settings',
    write: "an object, such as { shared_buffers: '2GB', max_connections: 200 }",
  })

const lines = z.array(z.string().regex(/^[^\0\r\n]+$/)).register(v.words, {
  what: 'a list of lines',
  write: "a list of lines, such as ['hostssl all all 10.0.0.0/8 scram-sha-256']",
})

const databaseShape = {
  name: v.required(v.label, {
    means: 'What the database is called.',
    turn: 'The name that your program connects to.',
    breaks: 'Nothing: it is an ordinary database.',
  }),
  owner: v.required(v.label, {
    means: 'The role that owns it and may log in.',
    turn: 'The role that your program connects as. Not `postgres`, which has no password and comes in from nowhere.',
    breaks: 'Nothing: it is an ordinary role.',
  }),
  password: v.required(v.password, {
    means: 'The password of the owner: a secret, or text.',
    turn: '`secret(NAME)`. Another value is set in the database, and no session ends. One that was set with ALTER ROLE stays until then.',
    breaks: 'Text stands in the config, in the store and in the state folder.',
  }),
}

const tls = z.union([z.literal(false), z.strictObject({ cert: v.folder, key: v.folder })]).register(v.words, {
  what: '`false`, or the files of a certificate and its key',
  write: "false, or the paths of two PEM files, such as { cert: './db.crt', key: './db.key' }",
})

const limitsShape = {
  keptLog: v.option(v.size, {
    means: 'How much WAL is kept for a replica that returns after a short absence.',
    default: '512MiB',
    turn: 'Larger under heavy writing: the WAL that a replica missed while it was away must still be there.',
    breaks: 'Too little, and a replica that was away is cloned again.',
  }),
  heldLog: v.option(v.size, {
    means: 'The most WAL that an absent replica may hold back on the disk of the primary.',
    default: '8GiB',
    turn: 'What the disk can spare.',
    breaks: 'Too much for the disk, and a dead replica fills it.',
  }),
  freeSpace: v.option(v.size, {
    means: "Less free space than this on the data's disk is unhealthy.",
    default: '128MiB',
    turn: 'Larger on a disk that fills fast.',
    breaks: 'With 0 bytes free PostgreSQL ends, and so does its successor as soon as its disk is full.',
  }),
}

const settingNames = z
  .array(z.string().regex(/^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)+$/))
  .max(500)
  .register(v.words, {
    what: 'a list of custom settings',
    write: "a list of names with a dot, such as ['app.user_id']",
  })

const functionNames = z.array(z.string().min(1).max(63)).max(500).register(v.words, {
  what: 'a list of functions',
  write: "a list of names without their schema, such as ['audit_row']",
})

const sessionsShape = {
  customSettings: v.option(settingNames, {
    means: 'Custom settings of which no statement and no function shows the name.',
    default: 'none',
    turn: 'The names that a program or a function puts together from parts: their values then move with a session.',
    breaks: 'Nothing: a setting that does not exist is not carried over.',
  }),
  trustedFunctions: v.option(functionNames, {
    means: 'Functions that leave nothing behind in a session, although their bodies do not show it.',
    default: 'none',
    turn: 'Trigger functions that run statements put together at run time, functions in Python or C.',
    breaks: 'One that does change a session: the session is moved without what it changed.',
  }),
  whenUnknown: v.option(v.oneOf(['close', 'move']), {
    means:
      'What becomes of a session when part of its state cannot be known: `close` it (57P01), or `move` it with what is known.',
    default: "'close'",
    turn: '`move` when a lost connection costs more than a lost setting.',
    breaks: '`move`: a session may lose a setting that row-level security depends on, or a lock, without an error.',
  }),
}

const { instances: _, redundancy: __, ...shared } = serviceShape

export const postgresShape = {
  instances: v.required(v.count(1, 9, 3), {
    means: 'How many nodes hold a replica of the data; one of them is the primary.',
    turn: '3, to lose any one of them and go on.',
    breaks:
      'With 2, the loss of one leaves a single replica: `degrade` says what happens then. With 1 there is no failover.',
  }),
  listen: v.required(v.port, {
    means: 'The port at which every node routes clients to the primary.',
    turn: 'What your program connects to, at any node.',
    breaks: 'Taken by another program: the endpoint of that node does not open, and an event says so.',
  }),
  listenStandby: v.option(v.port, {
    means: 'The port at which every node routes clients to a standby, for reading.',
    default: 'none',
    turn: 'For reads that may be a little behind.',
    breaks: 'What is read there may not be confirmed yet, and may vanish in a failover.',
  }),
  maxLag: v.option(v.size, {
    means: "How much of the primary's WAL a standby may lack and still be given reads at `listenStandby`.",
    default: '16MiB',
    turn: 'Smaller for reads that must be fresh, larger when bulk loads leave all standbys behind for a while. One that was left out comes back at half of it.',
    breaks: 'Too small, and under heavy writing every standby is left out: readers are held (`hold`) and then refused.',
  }),
  sync: v.option(v.count(1, 8, 1), {
    means: 'How many standbys must have a write on their disk before it is acknowledged.',
    default: 'half of the instances, rounded down: 1 of 3, 2 of 5',
    turn: 'More: more replicas may be lost at once without losing a write. Each write then waits for more of them.',
    breaks: 'As many as there are standbys: the loss of any one stops all writes until the rule has changed.',
  }),
  degrade: v.option(v.oneOf(['block', 'run-alone']), {
    means: 'What happens when no standby is left: writes wait (`block`), or go on with one replica only (`run-alone`).',
    default: "'block'; with 2 instances it must be written",
    turn: '`run-alone` when being down is worse than losing what was written since.',
    breaks: '`run-alone`: what is acknowledged then is on one disk, and is lost with it.',
  }),
  ...shared,
  database: v.option(v.group(databaseShape, 'a database', "{ name: 'shop', owner: 'shop', password: '…' }"), {
    means: 'A database and its owner, created once, together with the first replica.',
    default: 'none but `postgres`',
    turn: 'What your program connects to. Later ones are made with SQL.',
    breaks:
      'Without it no client can log in through the endpoint before you create a role, over the socket on the node itself.',
  }),
  settings: v.option(settings, {
    means: 'Settings of postgresql.conf.',
    default: "PostgreSQL's own",
    turn: 'Memory, connections, logging: what fits the machine. A change is reloaded; what PostgreSQL reads only at a start is brought by a rolling restart.',
    breaks: 'Those that safety depends on are refused, each with the reason.',
  }),
  hba: v.option(lines, {
    means: 'Lines of pg_hba.conf, before the last one, which admits every client with a password.',
    default: 'none',
    turn: 'To let in fewer: write a `reject` line last.',
    breaks: 'A line with `trust` admits every client that reaches the port.',
  }),
  tls: v.option(tls, {
    means: 'The certificate with which the endpoints speak TLS to clients: two PEM files on every node, or none.',
    default: 'each node makes one for itself and keeps it in its state folder',
    turn: 'Your own, for clients that check whom they speak to (`sslmode=verify-full`). Files that change are read again within a minute.',
    breaks:
      'With `false` passwords and data can be read on the way. Files that cannot be used: the endpoints go on with the last certificate, or without one, and events say so.',
  }),
  sessions: v.option(
    v.group(sessionsShape, 'options of sessions', "an object, such as { customSettings: ['app.user_id'] }"),
    {
      means: 'How sessions are moved to another server when something of them is not known.',
      default: 'as below',
      turn: 'See each option.',
      breaks: 'See each option.',
    },
  ),
  bin: v.option(v.folder, {
    means: "The folder with PostgreSQL's programs, version 13 to 18; `npm` is the packaged one.",
    default: 'the newest of this machine, else the packaged one',
    turn: 'When there are several, or all nodes must run the same.',
    breaks: 'Nodes with different major versions cannot clone from each other, and say so.',
  }),
  data: v.option(v.folder, {
    means:
      "The data folder; a relative one starts at the config file's folder. `{node}` in it stands for the node's name.",
    default: "in the node's state folder",
    turn: 'A disk of its own. With several nodes on one machine the path must hold `{node}`.',
    breaks:
      'A folder that holds something else is refused and left alone. Two instances with one folder are refused by `check` and `up`.',
  }),
  adopt: v.option(v.flag, {
    means: 'The first replica is the existing database in `data`, which may be running: it is taken over.',
    default: 'false',
    turn: 'true, to put a database under Understudy that is there already. The node that has it becomes the primary, the others clone it.',
    breaks: 'Its server is ended in order and started again once, so its clients are cut once.',
  }),
  user: v.option(v.label, {
    means: 'Who it runs as when agents are root, which PostgreSQL refuses to run as.',
    default: '`postgres` if there is such a user, else `nobody`',
    turn: 'A user of its own.',
    breaks: 'A user that is not there, or an agent that is not root: it does not start and says so.',
  }),
  port: v.option(v.port, {
    means: 'The port of the server itself, behind the endpoint.',
    default: 'a free one from 20000 to 29999, kept while no other program listens there',
    turn: 'When a firewall stands between the nodes.',
    breaks: 'Another program on that port: the server does not start and says so.',
  }),
  limits: v.option(v.group(limitsShape, 'limits', "an object, such as { heldLog: '8GiB' }"), {
    means: 'How much disk may be used, and how much must be left.',
    default: 'as below',
    turn: 'See each option.',
    breaks: 'See each option.',
  }),
}
