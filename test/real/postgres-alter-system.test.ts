/**
 * ALTER SYSTEM is read after every file of ours, and a reload puts it in force: a superuser can undo a promise without wanting to.
 * What never changes stands on the server's command line, where nothing overrules it; the rest is taken back.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { sleep, systemClock } from '../../src/lib/clock.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

async function begin(): Promise<Trio> {
  trio = new Trio()
  await trio.begin()
  return trio
}

const inForce = async (t: Trio, node: string, name: string) =>
  (await t.rows(node, `select current_setting('${name}') as it`))[0]?.it

/** Set and read again by the server: the second name shows that it has read its files. */
async function alterSystem(t: Trio, node: string, name: string, value: string): Promise<void> {
  await t.rows(node, `alter system set ${name} = '${value}'`)
  await t.rows(node, "alter system set log_min_duration_statement = '77s'")
  await t.rows(node, 'select pg_reload_conf()')
  const isRead = async () => (await inForce(t, node, 'log_min_duration_statement')) === '77s'
  await t.until('the server to have read its files', isRead)
}

/** A server that another hand than ours started on a folder of ours: without what stands on our command line. */
async function startByHand(t: Trio, node: string): Promise<number | undefined> {
  const pid = t.pidOf(node)
  const exe = readlinkSync(`/proc/${pid}/exe`)
  const env = Object.fromEntries(
    readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const data = t.dataOf(node)
  const { uid, gid } = statSync(data)
  await t.driver(node).kill()
  await t.driver(node).close()
  appendFileSync(join(data, 'postgresql.auto.conf'), "restore_command = 'cp /nowhere/%f %p'\n")
  const lock = join(data, 'postmaster.pid')
  rmSync(lock, { force: true }) // a process that was killed left it, and it says that all is ready
  const server = spawn(exe, ['-D', data], { cwd: data, env, detached: true, stdio: 'ignore', uid, gid })
  server.unref()
  await t.until('it to be ready', () => {
    const [pid, ...said] = existsSync(lock) ? readFileSync(lock, 'utf8').split('\n') : []
    return Number(pid) === server.pid && /standby|ready/.test(said.join())
  })
  return server.pid
}

test('trap 5: a restore_command is never run on a replica that waits for its stream', async () => {
  const t = await begin()
  const called = join(t.dataOf('b'), 'called')
  await t.driver('a').kill()
  await t.until(
    'the end of its stream',
    async () => (await t.rows('b', 'select 1 from pg_stat_wal_receiver')).length === 0,
  )
  await alterSystem(t, 'b', 'restore_command', `touch ${called}; false`)
  expect(await inForce(t, 'b', 'restore_command')).toBe('')
  await sleep(systemClock, 500) // five times as long as a server waits before it looks for log again
  expect(existsSync(called)).toBe(false)
})

test('trap 5: of a server that another program started it is taken out of force, and does not hold up recruiting', async () => {
  const t = await begin()
  const pid = await startByHand(t, 'b')
  await t.restartAgent('b')
  await t.driver('b').recruit(2)
  expect(t.pidOf('b')).toBe(pid)
  expect(await inForce(t, 'b', 'restore_command')).toBe('')
  expect(t.observe('b').replica.recruited).toBe(true)
})

test('what acknowledgements rest on cannot be turned off in a running server, and what was tried is told', async () => {
  const t = await begin()
  await alterSystem(t, 'a', 'fsync', 'off')
  await alterSystem(t, 'a', 'synchronous_commit', 'off')
  expect(await inForce(t, 'a', 'fsync')).toBe('on')
  expect(await inForce(t, 'a', 'synchronous_commit')).toBe('on')
  await alterSystem(t, 'a', 'synchronous_standby_names', '')
  const rule = 'ANY 1 ("b", "c")'
  const note = 'synchronous_standby_names was set with ALTER SYSTEM, and is taken back'
  await t.until('it to be told', () => t.observe('a').note.includes(note))
  await t.until('the rule in force again', async () => (await inForce(t, 'a', 'synchronous_standby_names')) === rule)
  expect(await inForce(t, 'a', 'log_min_duration_statement')).toBe('77s') // theirs
})

test('a standby that is sent elsewhere comes back to its primary', async () => {
  const t = await begin()
  await alterSystem(t, 'b', 'primary_conninfo', 'host=127.0.0.1 port=1')
  const port = async () => (await t.rows('b', 'select sender_port from pg_stat_wal_receiver'))[0]?.sender_port
  await t.until('it to be told', () => t.observe('b').note.includes('primary_conninfo'))
  await t.until('its own primary again', async () => (await port()) === t.observe('a').port)
})

test('lines that are added to postgresql.conf do not come after ours at the next start', async () => {
  const t = await begin()
  const path = join(t.dataOf('b'), 'postgresql.conf')
  appendFileSync(path, "\nwal_receiver_timeout = '60s'\nwork_mem = '5MB'\n")
  await t.driver('b').kill()
  await t.driver('b').start({ role: 'standby', term: 0 })
  expect(await inForce(t, 'b', 'wal_receiver_timeout')).toBe('3s')
  expect(await inForce(t, 'b', 'work_mem')).toBe('5MB')
})

test('what each process reads at each reload is short', async () => {
  const t = await begin()
  for (const node of ['a', 'b']) {
    const text = readFileSync(join(t.dataOf(node), 'postgresql.conf'), 'utf8')
    expect(text).toContain('\nmax_connections = ') // what initdb found out
    expect(text.split('\n').length).toBeLessThan(40)
  }
})
