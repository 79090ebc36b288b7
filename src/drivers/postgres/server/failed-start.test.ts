import { describe, expect, test } from 'vitest'
import { UnderstudyError } from '../../../errors.ts'
import { mayBeDamage, speaksOfDamage } from './failed-start.ts'

const error = new UnderstudyError('UND_REFUSED', 'the server ended: it said so')
const ended = { error, how: 'ended with code 1' }
const NOISE = [
  '2026-11-28 22:00:01.000 UTC [7] FATAL:  the database system is starting up',
  '2026-11-28 22:00:01.001 UTC [8] FATAL:  could not receive data from WAL stream: server closed the connection unexpectedly',
]

describe('a start that failed says nothing about the data when', () => {
  test.each([
    'FATAL:  could not open shared memory segment "/PostgreSQL.2713512814": No such file or directory',
    'FATAL:  could not map anonymous shared memory: Cannot allocate memory',
    'FATAL:  could not create shared memory segment: No space left on device',
    'FATAL:  pre-existing shared memory block (key 1234, ID 5) is still in use',
    'FATAL:  could not create semaphores: No space left on device',
    'FATAL:  out of memory',
    'FATAL:  insufficient file descriptors available to start server process',
    'PANIC:  could not write to file "pg_wal/xlogtemp.12": No space left on device',
    'FATAL:  could not create lock file "postmaster.pid": Read-only file system',
    'FATAL:  could not create any TCP/IP sockets',
    'FATAL:  lock file "/run/.s.PGSQL.5432.lock" already exists',
    'FATAL:  could not access file "pg_cron": No such file or directory',
    'LOG:  startup process (PID 12) was terminated by signal 9: Killed',
  ])('the machine was the reason: %s', (line) => {
    const said = [...NOISE, `2026-11-28 22:00:02.000 UTC [1] ${line}`, 'LOG:  database system is shut down']
    expect(mayBeDamage({ ...ended, said })).toBe(false)
  })

  test.each(['killed by SIGKILL', 'ended with code 0'])('its process %s', (how) => {
    expect(mayBeDamage({ error, how, said: NOISE })).toBe(false)
  })

  test.each([
    new UnderstudyError('UND_REFUSED', 'postgres cannot be run', { cause: new Error('spawn EAGAIN') }),
    new UnderstudyError('UND_CONFIG_INVALID', 'the account cannot enter /srv'),
    new UnderstudyError('UND_TIMED_OUT', 'the end of the server was not there in time'),
    Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE', syscall: 'open' }),
  ])('no server could be launched: %s', (why) => {
    expect(mayBeDamage({ error: why, how: '', said: [] })).toBe(false)
  })
})

describe('a start that failed counts as damage when', () => {
  test.each([
    'PANIC:  could not locate a valid checkpoint record',
    'FATAL:  could not open file "global/pg_filenode.map": No such file or directory',
    'PANIC:  could not read file "global/pg_control": read 0 of 296',
    'FATAL:  could not read file "base/5/1259": Input/output error',
    'postgres: could not access directory "/data": Permission denied',
    'FATAL:  incorrect checksum in control file',
  ])('the server said so: %s', (line) => {
    expect(mayBeDamage({ ...ended, said: [...NOISE, line] })).toBe(true)
  })

  test('it spoke of the machine and of something else', () => {
    const said = ['FATAL:  out of memory', 'PANIC:  could not locate a valid checkpoint record']
    expect(mayBeDamage({ ...ended, said })).toBe(true)
  })

  test('it said nothing, or what is not known', () => {
    expect(mayBeDamage({ ...ended, said: [] })).toBe(true)
    expect(mayBeDamage({ ...ended, said: ['FATAL:  something new'] })).toBe(true)
    expect(mayBeDamage({ how: 'killed by SIGSEGV', said: NOISE })).toBe(true)
  })
})

describe('an answer of the server', () => {
  const missing = {
    code: '58P01',
    file: 'md.c',
    message: 'could not open file "base/5/1259": No such file or directory',
  }
  const memory = { ...missing, file: 'dsm_impl.c', message: 'could not open shared memory segment "/PostgreSQL.1": …' }

  test('speaks of damage with SQLSTATE 58 or XX', () => {
    expect(speaksOfDamage(missing)).toBe(true)
    expect(speaksOfDamage({ code: 'XX001', file: 'bufmgr.c', message: 'invalid page in block 0' })).toBe(true)
    expect(speaksOfDamage({ code: '57P03', message: 'the database system is starting up' })).toBe(false)
    expect(speaksOfDamage(null)).toBe(false)
  })

  test('does not when shared memory or a library is missing, in whatever language', () => {
    expect(speaksOfDamage(memory)).toBe(false)
    expect(speaksOfDamage({ ...memory, message: 'konnte Shared-Memory-Segment nicht öffnen' })).toBe(false)
    expect(speaksOfDamage({ ...memory, file: undefined })).toBe(false)
    expect(speaksOfDamage({ ...missing, file: 'dfmgr.c', message: 'could not access file "x"' })).toBe(false)
  })
})
