import { beforeEach, describe, expect, test } from 'vitest'
import { message } from '../messages.ts'
import { restoration } from './restore-state.ts'
import { SessionState } from './session-state.ts'
import { readSnapshot } from './state-snapshot.ts'

const [IDLE, OPEN, FAILED] = ['I', 'T', 'E'].map((letter) => letter.charCodeAt(0)) as [number, number, number]
let state: SessionState

beforeEach(() => {
  state = new SessionState()
})

const parse = (name: string, text = 'select 1') => state.sentParse(name, text, message('P', `${name}\0${text}\0\0\0`))
const texts = () => restoration(state).bytes.toString('latin1')

describe('idle or not', () => {
  test('simple queries, one after the other and pipelined', () => {
    expect(state.idle).toBe(true)
    state.sentQuery('select 1')
    state.sentQuery('select 2')
    expect(state.obstacle).toBe('in-statement')
    state.ready(IDLE)
    expect(state.idle).toBe(false)
    state.ready(IDLE)
    expect(state.idle).toBe(true)
  })

  test('a transaction', () => {
    state.sentQuery('begin')
    state.ready(OPEN)
    expect(state.obstacle).toBe('in-transaction')
    state.sentQuery('broken')
    state.failed()
    state.ready(FAILED)
    expect(state.obstacle).toBe('in-transaction')
    state.sentQuery('rollback')
    state.ready(IDLE)
    expect(state.obstacle).toBeUndefined()
  })

  test('the extended protocol is idle only after its Sync was answered', () => {
    parse('')
    expect(state.idle).toBe(false)
    state.parsed()
    expect(state.idle, 'answered by Flush, but open').toBe(false)
    state.sentSync()
    state.ready(IDLE)
    expect(state.idle).toBe(true)
  })

  test('COPY by a simple query', () => {
    state.sentQuery('copy t from stdin')
    state.copyIn()
    expect(state.obstacle).toBe('copy')
    state.sentCopyEnd()
    expect(state.obstacle).toBe('in-statement')
    state.ready(IDLE)
    expect(state.idle).toBe(true)
  })

  test('COPY by the extended protocol: the Sync that came with it is dropped by the server', () => {
    parse('', 'copy t from stdin')
    state.sentExtended()
    state.sentSync()
    state.copyIn()
    state.sentSync()
    state.sentCopyEnd()
    state.sentSync()
    expect(state.idle).toBe(false)
    state.ready(IDLE)
    expect(state.idle).toBe(true)
  })
})

describe('what it has', () => {
  test('a SET that succeeded alone is remembered, the last one last', () => {
    for (const text of ['set work_mem = 1', 'set a.b = 2', 'set work_mem = 3']) {
      state.sentQuery(text)
      state.ready(IDLE)
    }
    expect([...state.settings.values()].map(({ text }) => text)).toEqual(['set a.b = 2', 'set work_mem = 3'])
    expect(state.unsure).toBe(false)
    state.sentQuery('reset work_mem')
    state.ready(IDLE)
    expect([...state.settings.keys()]).toEqual(['a.b'])
  })

  test('one that failed is not', () => {
    state.sentQuery('set work_mem = nonsense')
    state.failed()
    state.ready(IDLE)
    expect(state.settings.size).toBe(0)
    expect(state.unsure).toBe(false)
  })

  test('in a transaction, or with something else behind it, the server must be asked', () => {
    state.sentQuery('begin')
    state.ready(OPEN)
    state.sentQuery('set a.b = 1')
    state.ready(OPEN)
    expect(state.unsure).toBe(true)
    expect([...state.customNames]).toEqual(['a.b'])
    state = new SessionState()
    state.sentQuery('set a.b = 1')
    state.sentQuery('select 1')
    state.ready(IDLE)
    state.failed()
    state.ready(IDLE)
    expect(state.unsure).toBe(true)
    expect(state.obstacle).toBe('state-unknown')
  })

  test('prepared statements: when the server confirms them, until they are closed', () => {
    parse('a')
    parse('bad', 'selec')
    parse('skipped')
    state.sentSync()
    parse('b')
    state.sentSync()
    state.parsed()
    state.failed()
    state.ready(IDLE)
    state.parsed()
    state.ready(IDLE)
    expect([...state.prepared.keys()]).toEqual(['a', 'b'])
    state.sentClose('a')
    state.sentSync()
    state.closed()
    state.ready(IDLE)
    expect([...state.prepared.keys()]).toEqual(['b'])
  })

  test('one that is too long to be kept binds the session, unless it has no name', () => {
    const big = (name: string) => {
      state.sentParse(name, 'select 1', undefined)
      state.sentSync()
      state.parsed()
      state.ready(IDLE)
    }
    big('')
    expect(state.obstacle).toBeUndefined()
    big('a')
    expect(state.obstacle).toBe('settings-refused')
    state.learn(readSnapshot([], 'app', false))
    expect(state.obstacle).toBe('settings-refused')
  })

  test('a prepared statement that changes the session makes it unsure whenever it is executed', () => {
    parse('p', "select set_config('app.user', $1, false)")
    state.sentSync()
    state.parsed()
    state.ready(IDLE)
    expect(state.unsure, 'it was prepared, not executed').toBe(false)
    expect(state.watchesBinds).toBe(true)
    state.sentBind('p', () => 'x')
    state.sentSync()
    state.ready(IDLE)
    expect(state.unsure).toBe(true)
    expect([...state.customNames]).toEqual(['app.user'])
  })

  test('what the server answers replaces what was known', () => {
    state.sentQuery('set work_mem = 1')
    state.ready(IDLE)
    for (const name of ['a', 'gone', '']) {
      parse(name)
      state.sentSync()
      state.parsed()
      state.ready(IDLE)
    }
    const rows = [
      ['setting', 'DateStyle', "German, 'x'"],
      ['setting', 'app.user', 'o\\k'],
      ['setting', 'app.none', null],
      ['role', 'owner', 'app'],
      ['sql', 'p', 'insert into t values (1); prepare p as select 2'],
      ['protocol', 'a', 'select 1'],
      ['channel', 'News', ''],
    ]
    state.learn(readSnapshot(rows, 'app', false))
    expect(state.pin).toBeUndefined()
    const all = texts()
    expect(all).toContain("set_config('DateStyle', 'German, ''x''', false)")
    expect(all).toContain("set_config('app.user',  E'o\\\\k', false)")
    expect(all).toContain('SET ROLE "owner"')
    expect(all).not.toContain('AUTHORIZATION')
    expect(all).toContain('prepare p as select 2')
    expect(all).not.toContain('insert')
    expect(all).toContain('LISTEN "News"')
    expect([...state.prepared.keys()]).toEqual(['a', ''])
    expect(all).not.toContain('work_mem')
  })

  test.each(['temporary-table', 'holdable-cursor', 'advisory-lock'] as const)('%s binds it to its server', (pin) => {
    state.learn(readSnapshot([[pin, '', '']], 'app', false))
    expect(state.obstacle).toBe(pin)
    state.learn(readSnapshot([], 'app', false))
    expect(state.obstacle).toBeUndefined()
  })

  test('a prepared statement whose text cannot be told apart, and a server that does not answer', () => {
    state.learn(readSnapshot([['sql', 'p', 'select 1']], 'app', false))
    expect(state.obstacle).toBe('settings-refused')
    state = new SessionState()
    state.learnNothing()
    expect(state.obstacle).toBe('settings-refused')
  })
})
