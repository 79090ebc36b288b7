import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { statementsOf } from '../sql-tokens.ts'
import { effectOfBody } from './function-bodies.ts'
import { type Dialect, effectOf, prepareIn } from './statements.ts'

const PLAIN: Dialect = { backslashEscapes: false, isPinned: false }
const kindOf = (text: string, dialect = PLAIN) => effectOf(text, dialect).kind
const changeOf = (text: string) => {
  const effect = effectOf(text, PLAIN)
  return effect.kind === 'change' ? effect.change : effect.kind
}

describe('what a statement does to its session', () => {
  test.each([
    'select 1',
    'update accounts set balance = 1',
    'insert into t values (1) on conflict do nothing',
    'insert into t values (1) on conflict (id) do update set n = 2',
    "select 'set work_mem = 1'",
    'select $$ set work_mem = 1 $$, $x$ listen a $x$',
    'select 1 -- set work_mem = 1',
    'select 1 /* listen a /* nested */ listen b */',
    'select "set", "listen" from "temp"',
    'alter table t set (fillfactor = 50)',
    "alter role app set work_mem = '1MB'",
    'set local work_mem = 1',
    'set transaction isolation level serializable',
    'set constraints all deferred',
    'select pg_advisory_xact_lock(1)',
    "prepare transaction 'x'",
    'create table temp_things (id int)',
    'create table t as select 1',
    'declare c cursor for select 1',
    'listen',
    '',
    ';;',
  ])('nothing: %s', (text) => expect(kindOf(text)).toBe('none'))

  test.each([
    'set local x.y = 1',
    'begin; set local x.y = 1; commit',
    "select set_config('app.user', 'x', true)",
    "select set_config('app.user', current_setting('a', true), true), 1",
  ])('a custom setting exists afterwards: %s', (text) => expect(kindOf(text)).toBe('touch'))

  test.each([
    "set work_mem = '1MB'",
    'SET SESSION Work_Mem TO 7',
    ' /* x */ set work_mem to 7 ; ',
    'set "work_mem" = default',
  ])('it can be taken at its word: %s', (text) => {
    expect(changeOf(text)).toMatchObject({ kind: 'set', name: 'work_mem' })
  })

  test('the change is the text of the statement alone', () => {
    expect(changeOf("/* a */ set app.user = 'x;y' ; -- b")).toEqual({
      kind: 'set',
      name: 'app.user',
      text: "set app.user = 'x;y'",
    })
    expect(changeOf('reset work_mem')).toEqual({ kind: 'reset', name: 'work_mem' })
    expect(changeOf('LISTEN News')).toEqual({ kind: 'listen', channel: 'news', text: 'LISTEN News' })
    expect(changeOf('listen "News"')).toMatchObject({ channel: 'News' })
    expect(changeOf('unlisten *')).toEqual({ kind: 'unlisten', channel: null })
    expect(changeOf('unlisten news')).toEqual({ kind: 'unlisten', channel: 'news' })
  })

  test.each([
    "set work_mem = '1MB'; select 1",
    'select 1; listen a',
    'begin; set work_mem = 1; rollback',
    'set role app',
    'set session authorization app',
    "set time zone 'UTC'",
    "set names 'utf8'",
    'set session characteristics as transaction read only',
    'reset all',
    'reset role',
    'discard all',
    'deallocate all',
    'prepare p as select 1',
    'do $$ begin perform 1; end $$',
    'call p()',
    "load 'x'",
    'create temp table t (id int)',
    'create temporary view v as select 1',
    'create or replace temp view v as select 1',
    'create local temporary table t (id int)',
    'create unlogged table if not exists pg_temp.t (id int)',
    'select * into temp t from x',
    'select 1 into local temporary table t',
    'declare c cursor with hold for select 1',
    'select pg_advisory_lock(1)',
    'SELECT PG_TRY_ADVISORY_LOCK(1, 2)',
    'select pg_advisory_unlock_all()',
    "select set_config('app.user', $1, false)",
    "select pg_catalog.set_config('work_mem', '1', is_local)",
    'with x as (select pg_advisory_lock(1)) select * from x',
  ])('the server must be asked: %s', (text) => expect(kindOf(text)).toBe('unsure'))

  test('settings that are only told when asked for by name', () => {
    const customNames = ['app.user']
    for (const text of [
      "select set_config('App.User', $1, false)",
      `select "set_config"('app.user', 'x', false)`,
      `select pg_catalog."set_config"('app.user'::text, 'x', false)`,
      "-- a comment\rset app.user = 'x'; select 1",
      "declare c cursor for select set_config('app.user', 'x', false)",
      "explain analyze select set_config('app.user', 'x', false)",
      "prepare p as select set_config('app.user', $1, false)",
      "do $$ begin perform set_config('app.user', 'x', false); end $$",
      "do $$ begin execute 'set app.user = ''x'''; end $$",
      'reset app.user',
      'set app.user to default',
    ]) {
      const dialect = { ...PLAIN, readBody: effectOfBody }
      expect(effectOf(text, dialect), text).toMatchObject({ kind: 'unsure', customNames, isUnknowable: false })
    }
    expect(effectOf('select set_config($1, $2, false)', PLAIN)).toMatchObject({ namesIn: [1], isUnknowable: false })
  })

  test.each([
    "select set_config('app.' || $1, $2, false)",
    "select set_config(E'app.\\x75ser', 'x', false)",
    `select U&"\\0073et_config"('app.user', 'x', false)`,
    'select setseed(0.5)',
    "load 'auto_explain'",
    "do language plpython3u $$ GD['x'] = 1 $$",
    "select dblink_connect('c', 'dbname=x')",
  ])('what it leaves cannot be known: %s', (text) =>
    expect(effectOf(text, PLAIN)).toMatchObject({ isUnknowable: true }),
  )

  test('EXECUTE does what was prepared, when that is known', () => {
    const sqlPrepared = new Map([
      ['plain', 'prepare plain as select $1'],
      ['lock', 'PREPARE lock (int) AS select pg_advisory_lock($1)'],
    ])
    expect(kindOf('execute plain(1)', { ...PLAIN, sqlPrepared })).toBe('none')
    expect(kindOf('execute lock(1)', { ...PLAIN, sqlPrepared })).toBe('unsure')
    expect(kindOf('execute other(1)', { ...PLAIN, sqlPrepared })).toBe('unsure')
  })

  test('a setting is changed by an update of pg_settings, and a table is temporary on such a search_path', () => {
    expect(kindOf("update pg_settings set setting = 'x' where name = 'work_mem'")).toBe('unsure')
    expect(kindOf('create table t (id int)')).toBe('none')
    expect(kindOf('create table t (id int)', { ...PLAIN, makesTemporary: true })).toBe('unsure')
  })

  test('a string with a backslash before its quote, in both dialects', () => {
    const text = "select 'a\\'; listen x --'"
    expect(kindOf(text)).toBe('unsure')
    expect(kindOf(text, { ...PLAIN, backslashEscapes: true })).toBe('none')
    expect(kindOf("select E'a\\'; listen x --'")).toBe('none')
  })

  test('an UPDATE, INSERT or MERGE is understood at a glance as it is when taken apart', () => {
    const words = [
      'set',
      'do',
      'update',
      'into',
      'temp',
      'pg_temp.t',
      'set_config',
      '(',
      ')',
      ',',
      "'x', 1, false",
      '=',
    ]
    const others = [
      '; ',
      ';set a = 1',
      "';'",
      '--',
      '\n',
      '/*',
      '*/',
      '"',
      'pg_advisory_lock(1)',
      'listen',
      'hold',
      'call',
    ]
    const anyText = fc.array(fc.constantFrom(...words, ...others), { maxLength: 12 })
    fc.assert(
      fc.property(fc.constantFrom('update', ' INSERT', '\nmerge'), anyText, fc.boolean(), (first, rest, backslash) => {
        const text = [first, ...rest].join(' ')
        const dialect = { backslashEscapes: backslash, isPinned: false }
        expect(effectOf(text, dialect)).toEqual(effectOf(`/**/${text}`, dialect))
      }),
      { numRuns: 5_000 },
    )
  })

  test('what may end what binds a session is of interest while it is bound', () => {
    expect(kindOf('drop table t')).toBe('none')
    expect(kindOf('drop table t', { ...PLAIN, isPinned: true })).toBe('unsure')
    expect(kindOf('close c', { ...PLAIN, isPinned: true })).toBe('unsure')
  })
})

test('PREPARE is found among other statements, alone', () => {
  expect(prepareIn('insert into t values (1); prepare p (int) as select $1; select 2', 'p', false)).toBe(
    'prepare p (int) as select $1',
  )
  expect(prepareIn('PREPARE "P" AS select 1', 'P', false)).toBe('PREPARE "P" AS select 1')
  expect(prepareIn('prepare other as select 1', 'p', false)).toBeUndefined()
})

describe('tokens', () => {
  test('whatever the text: it ends, and every token is where it says', () => {
    const pieces = ["'", '"', '$$', '$a$', '/*', '*/', '--', '\n', ';', 'set', ' ', 'x', '\\', "E'", '.', '1', '\xe9']
    const anyText = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 3 })), { maxLength: 30 })
    fc.assert(
      fc.property(anyText, fc.boolean(), (parts, backslash) => {
        const text = parts.join('')
        let last = 0
        for (const token of statementsOf(text, backslash).flat()) {
          expect(token.start).toBeGreaterThanOrEqual(last)
          expect(token.end).toBeGreaterThan(token.start)
          expect(token.end).toBeLessThanOrEqual(text.length)
          last = token.end
        }
        effectOf(text, { backslashEscapes: backslash, isPinned: false })
      }),
      { numRuns: 2_000 },
    )
  })
})
