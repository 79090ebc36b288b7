/**
 * The options that `http()` and `command()` share, as a schema: both run processes, by one driver. What must be true
 * between them, and how they become what the driver reads, is in process-options.ts.
 */
import { serviceShape } from '../schema/service-schema.ts'
import * as v from '../schema/vocabulary.ts'

const promoteShape = {
  signal: v.option(v.oneOf(['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']), {
    means: "The signal sent to the instance's process group.",
    default: 'none',
    turn: 'The one that the program handles.',
    breaks: 'A program that does not handle it is ended by it.',
  }),
  http: v.option(v.urlPath, {
    means: 'The path that gets a POST of `{"role":"primary","term":7}`; a 2xx answer means that it was understood.',
    default: 'none',
    turn: 'Prefer it to a signal: it carries the term, and an answer.',
    breaks: 'Any other answer: the promotion failed, and is tried again or elsewhere.',
  }),
}

const limitsShape = {
  openFiles: v.option(v.count(16, 1_048_576, 65_536), {
    means: 'How many files and sockets it may have open (`ulimit -n`).',
    default: 'what the agent itself has',
    turn: 'Higher for servers with many connections.',
    breaks: 'Too low, and it refuses connections.',
  }),
  memory: v.option(v.size, {
    means:
      'How much address space it may reserve (`ulimit -v`); programs reserve far more than they use, Node.js some GiB.',
    default: 'what the agent itself has',
    turn: 'Well above what it reserves when idle.',
    breaks: 'Too low, and it dies while starting.',
  }),
  cpuTime: v.option(v.duration, {
    means: 'How much processor time it may use over its whole life (`ulimit -t`), in whole seconds.',
    default: 'what the agent itself has',
    turn: 'For jobs that should end, not for servers.',
    breaks: 'When it is used up, the kernel kills the program.',
  }),
}

const logShape = {
  size: v.option(v.size, {
    means: 'How large a log may grow before a new one is begun.',
    default: '10MiB',
    turn: 'Larger to look further back.',
    breaks: 'Too large for the disk, and the disk fills.',
  }),
  files: v.option(v.count(0, 100, 3), {
    means: 'How many earlier logs are kept.',
    default: '3',
    turn: 'More to look further back.',
    breaks: 'The disk holds size × (files + 1) for each instance.',
  }),
}

export const processShape = {
  run: v.required(v.run, {
    means: 'The program to run: a line for `/bin/sh -c`, or a list of words that is run without a shell.',
    turn: 'A list when words come from elsewhere and must not be read by a shell.',
    breaks: 'A program that puts itself into the background looks as if it had ended: let it stay in the foreground.',
  }),
  ...serviceShape,
  cwd: v.option(v.folder, {
    means: "The folder to run it in; a relative one starts at the config file's folder.",
    default: "the config file's folder",
    turn: 'Where the program expects its files.',
    breaks: 'A folder that is not there: the instance does not start and says so.',
  }),
  env: v.option(v.environment, {
    means: "Environment variables for it, on top of the agent's own.",
    default: 'none',
    turn: 'What the program reads from its environment; `secret(NAME)` in the place of a password.',
    breaks: 'A password written as text is in the config, in the store and in the state folder.',
  }),
  secretFiles: v.option(v.secretFiles, {
    means: 'Secrets that it reads from files: each variable names the path of a file that holds the value.',
    default: 'none',
    turn: 'Prefer it to `env`: what is in the environment is inherited by every program that it starts.',
    breaks: 'The file goes with the instance. Where there is no folder in memory, it is in the state folder meanwhile.',
  }),
  user: v.option(v.user, {
    means: 'Who it runs as: the name or number of a user. Needs an agent that runs as root.',
    default: 'the user that runs the agent',
    turn: 'A user of its own for each service, when agents run as root.',
    breaks: 'An agent that is not root, or a user that is not there: the instance does not start and says so.',
  }),
  port: v.option(v.port, {
    means: 'The port that the program itself listens on, told to it as `PORT` beside `HOST`.',
    default: 'a free one from 20000 to 29999, for each instance',
    turn: 'Write it for a program that cannot read `PORT`.',
    breaks: 'Another program on that port: the instance never becomes healthy.',
  }),
  standby: v.option(v.oneOf(['cold', 'warm']), {
    means: 'Whether standbys run before they are needed (`warm`) or are started then (`cold`).',
    default: "'cold'",
    turn: '`warm` when starting takes long and the program can wait to be told.',
    breaks: 'A program that does not wait works on every node at once.',
  }),
  promote: v.option(v.group(promoteShape, 'a way to tell a standby', "{ signal: 'SIGUSR2' } or { http: '/promote' }"), {
    means: 'How a warm standby is told that it is the primary now: by a signal, or by a POST to a path of its own.',
    default: 'only the file that `UNDERSTUDY_TERM_FILE` names tells it',
    turn: "Write one of the two, for `standby: 'warm'`.",
    breaks: 'Without it a program that does not watch the file never learns that it is the primary.',
  }),
  stopSignal: v.option(v.oneOf(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']), {
    means: 'The signal that asks it to end.',
    default: "'SIGTERM'",
    turn: 'The one after which the program finishes its work: SIGQUIT for nginx, SIGWINCH for Apache.',
    breaks: 'One that the program does not handle: its work is cut off, or it is killed after `grace`.',
  }),
  limits: v.option(v.group(limitsShape, 'limits', "an object, such as { openFiles: 65536, memory: '4GiB' }"), {
    means: 'What the kernel refuses to let one process of it exceed.',
    default: 'what the agent itself has',
    turn: 'A safety net against a program that leaks.',
    breaks: 'They hold for each process, not for all of them together.',
  }),
  log: v.option(v.group(logShape, 'log options', "an object, such as { size: '10MiB', files: 3 }"), {
    means: 'How much of its output is kept.',
    default: 'as below',
    turn: 'See each option.',
    breaks: 'See each option.',
  }),
}

/** Health checks, for both kinds. */
export const checkShape = {
  exec: v.option(v.run, {
    means: 'A program run beside the instance, with its environment; exit code 0 is healthy.',
    default: 'none',
    turn: 'A check that does the real work, and is quick.',
    breaks: 'It is killed after `probeTimeout` and counts as failed: starting a program takes time of its own.',
  }),
  status: v.option(v.statuses, {
    means: 'The statuses that are healthy when a path is asked; redirects are not followed.',
    default: "'200-399'",
    turn: "`200` or `'200-299'` where a redirect, to a login for instance, means that something is missing. A list of both is allowed.",
    breaks:
      'A status that a working program does not send: it never counts as healthy, and the messages name what came.',
  }),
  headers: v.option(v.headers, {
    means:
      'Headers sent when a path is asked, on top of `Host` (address and port), `User-Agent` and `Accept`, or in their place.',
    default: 'none',
    turn: "`{ Host: 'shop.example' }` for a program that serves several sites.",
    breaks:
      'Secrets written here are in the config and in files of the agents. No message shows them; without verified HTTPS the network may.',
  }),
}

/** `command()` alone: balancers pass the bytes of its clients, so that the program may speak TLS itself. */
export const httpsShape = {
  https: v.option(v.flag, {
    means:
      'Whether the path is asked over HTTPS, the hook of `promote` too. The certificate is not verified without `ca`.',
    default: 'false',
    turn: 'For a program that speaks TLS itself. An `http()` service has no such option: balancers speak plain HTTP to it.',
    breaks: 'A program that does not speak TLS on its port is never healthy.',
  }),
  servername: v.option(v.hostName, {
    means: 'The name that is asked for in the TLS handshake (SNI), and that a verified certificate must hold.',
    default: "none, and the node's address",
    turn: 'For a program that chooses its certificate by name, and with `ca`.',
    breaks: 'A name that the certificate does not hold: with `ca`, the instance is never healthy.',
  }),
  ca: v.option(v.folder, {
    means: 'A PEM file on every node: the certificate must be signed by an authority in it, or be in it itself.',
    default: 'any certificate is good',
    turn: 'Where headers hold secrets, and instances are on several machines. A relative path starts at the folder of the config file; a changed file is read within a minute.',
    breaks: 'A file that cannot be read, or a certificate that has expired: every instance is unhealthy.',
  }),
}
