import { describe, expect, test } from 'vitest'
import { Catalogue, type Rows, UNREAD } from './database-catalogue.ts'

const called = (name: string, body: string, language = 'plpgsql') => ['function', name, `${language} 1`, body] as const
const end = ['fingerprint', 'f', '', ''] as const
const catalogueOf = (...rows: Rows) => new Catalogue([...rows, end])
const lasting = called('login_as', "begin perform set_config('app.user', $1, false); end")

describe('what a function does', () => {
  const effectOf = (body: string, language = 'plpgsql') =>
    catalogueOf(called('f', body, language)).effectOf('select f(1)')

  test.each([
    'begin return new; end',
    'begin update t set a = 1; insert into t values (1) on conflict do update set a = 2; merge into t using s on true when matched then update set a = 1; end',
    "begin execute 'insert into t values ($1)' using new.a; end",
    "begin execute format('insert into %I.%I values (%L)', a, b, c); end",
    'begin -- set app.user = 1\n return 1; end',
    'begin alter table t set (fillfactor = 50); end',
    "declare a int := 1; begin if a > 1 then raise notice 'set a.b = 1'; else return 2; end if; end",
    "begin set local work_mem = '1MB'; perform pg_advisory_xact_lock(1); end",
    'begin for r in select 1 loop return next r; end loop; end',
  ])('nothing: %s', (body) => expect(effectOf(body).kind).toBe('none'))

  test.each([
    "begin perform set_config('app.user', v, false); end",
    "begin if a then set app.user = 'x'; end if; end",
    "begin case when a then set app.user to 'x'; else null; end case; end",
    "begin <<l>> set app.user = 'x'; end",
    "begin loop set app.user = 'x'; end loop; end",
    "begin execute 'set app.user = ' || quote_literal(v); end",
    "begin execute format('select set_config(''app.user'', %L, false)', v); end",
    'begin reset app.user; end',
    "begin return query execute 'select set_config(''app.user'', $1, false)' using v; end",
    "begin open c for execute 'select set_config(''app.user'', $1, false)'; end",
  ])('a setting that has to be asked for: %s', (body) => {
    expect(effectOf(body)).toMatchObject({ kind: 'unsure', isUnknowable: false, customNames: ['app.user'] })
  })

  test.each([
    'begin perform pg_advisory_lock(1); end',
    'begin create temp table t (a int); end',
    'begin listen a; end',
    "begin execute 'prepare p as select 1'; end",
    "begin execute 'select ' || name || '()'; end",
    "begin execute format('select %s()', name); end",
    "begin update pg_settings set setting = 'x'; end",
  ])('something that has to be asked for: %s', (body) => {
    expect(effectOf(body)).toMatchObject({ kind: 'unsure', isUnknowable: false })
  })

  test.each([
    ['begin execute q; end', 'plpgsql'],
    ['begin perform set_config(n, v, false); end', 'plpgsql'],
    ["begin perform set_config('app.' || n, v, false); end", 'plpgsql'],
    ["begin execute 'set ' || n || ' = 1'; end", 'plpgsql'],
    ['select set_config($1, $2, false)', 'sql'],
    ['begin perform setseed(0.1); end', 'plpgsql'],
    ["GD['x'] = 1", 'plpython3u'],
    ['my_function', 'c'],
  ])('what it does cannot be known: %s', (body, language) =>
    expect(effectOf(body, language)).toMatchObject({ isUnknowable: true }),
  )

  test('one that ends with its transaction leaves the setting behind, empty', () => {
    const touch = { kind: 'touch', customNames: ['app.user'] }
    expect(effectOf("begin perform set_config('app.user', v, true); end")).toMatchObject(touch)
    expect(effectOf("begin set local app.user = 'x'; end")).toMatchObject(touch)
  })
})

describe('which statements run it', () => {
  test('those with its name, quoted or not, also inside of another function', () => {
    const catalogue = catalogueOf(
      lasting,
      called('other', 'select login_as($1)', 'sql'),
      called('Odd "name', 'select other()', 'sql'),
    )
    for (const text of ['select login_as($1)', 'select public.LOGIN_AS(1)', 'call other()', 'select "Odd ""name"()']) {
      expect(catalogue.effectOf(text), text).toMatchObject({ kind: 'unsure', customNames: ['app.user'] })
    }
    for (const text of ['select 1', 'select login_as_x()', 'update t set a = 1', 'commit']) {
      expect(catalogue.effectOf(text).kind, text).toBe('none')
    }
  })

  test('whatever writes, when a trigger calls it, also in a function', () => {
    const writer = called('add', 'insert into t values (1)', 'sql')
    const catalogue = catalogueOf(lasting, writer, ['used', 'login_as', 'trigger', ''])
    for (const text of ['insert into t values (1)', 'with x as (delete from t returning 1) select 1', 'select add()']) {
      expect(catalogue.effectOf(text).kind, text).toBe('unsure')
    }
    expect(catalogue.effectOf('select * from t').kind).toBe('none')
  })

  test('any, when a view, a policy or an operator calls it', () => {
    for (const row of [
      ['used', 'login_as', 'other', ''],
      ['changing', '', '', "SELECT set_config('app.user'::text, 'x'::text, false)"],
    ]) {
      const catalogue = catalogueOf(lasting, row)
      expect(catalogue.effectOf('select * from v')).toMatchObject({ kind: 'unsure', isUnknowable: false })
      for (const text of ['begin', 'COMMIT;', 'rollback', 'show work_mem', 'set work_mem = 1']) {
        expect(catalogue.effectOf(text).kind, text).toBe('none')
      }
      expect(catalogue.effectOf('commit; select * from v').kind).toBe('unsure')
    }
  })

  test('none, when the operator trusts it', () => {
    const rows: Rows = [called('f', 'begin execute q; end'), ['used', 'f', 'trigger', ''], end]
    expect(new Catalogue(rows).effectOf('insert into t values (1)')).toMatchObject({ isUnknowable: true })
    expect(new Catalogue(rows, 0, (name) => name === 'f').effectOf('insert into t values (f())').kind).toBe('none')
  })

  test('a name that is not ASCII may be written in another encoding', () => {
    const catalogue = catalogueOf(called('se\xc3\xb1or', "select set_config('app.user', $1, false)", 'sql'))
    expect(catalogue.effectOf('select se\xc3\xb1or(1)').kind).toBe('unsure')
    expect(catalogue.effectOf('select se\xf1or(1)').kind).toBe('unsure')
    expect(catalogue.effectOf('select 1').kind).toBe('none')
  })

  test('all but those that call nothing, before anything is known', () => {
    expect(UNREAD.effectOf('select 1').kind).toBe('unsure')
    expect(UNREAD.effectOf('begin').kind).toBe('none')
  })
})

test('settings that are spoken of in the database are asked for', () => {
  const text = "(owner = current_setting('app.owner'::text, true))"
  const { customNames } = catalogueOf(lasting, ['text', '', '', text], ['default', '', '', 'app.tenant=7'])
  expect([...customNames].sort()).toEqual(['app.owner', 'app.tenant', 'app.user'])
})
