/**
 * Kinds of state that a session can have: how it comes to it, and a statement whose answer depends on it. What follows from a kind
 * for a door is one thing only: afterwards the answer is the same, or the session is closed.
 */
import type pg from 'pg'

type Step = string | ((client: pg.Client) => Promise<unknown>)

export interface SessionCase {
  readonly name: string
  readonly steps: readonly Step[]
  readonly probe: Step
  readonly options?: pg.ClientConfig
  /** What it says without a change of primary, when asking changes it. */
  readonly answer?: string
  /** It has to be moved, not closed, in a crash too: an everyday session. */
  readonly moves?: true
}

export const SCHEMA = `
create role limited; grant limited to app; grant usage on schema public to limited;
create role boss login superuser password 'boss'; create role rls login password 'rls';
create schema alt authorization app; create schema other authorization app;
create schema temporary authorization app;
set role app;
create table docs (id int primary key, owner text);
insert into docs select i, case when i % 2 = 0 then 'alice' else 'bob' end from generate_series(1, 10) i;
grant select on docs to rls, limited;
create function login_as(u text) returns void language plpgsql as $$ begin perform set_config('myapp.user_id', u, false); end $$;
create function login_twice(u text) returns void language sql as $$ select login_as(u) $$;
create function "Login Odd"(u text) returns void language sql as $$ select "set_config"('myapp.user_id', u, false) $$;
create function login_local(u text) returns void language plpgsql as $$ begin perform set_config('myapp.local_id', u, true); end $$;
create function set_any(n text, v text) returns void language plpgsql as $$ begin perform set_config(n, v, false); end $$;
create function run_any(q text) returns void language plpgsql as $$ begin execute q; end $$;
create function run_put_together(n text) returns void language plpgsql as
  $$ declare r text; begin execute 'select ' || n || '($1)' using 'alice'; end $$;
create procedure p_login_as(u text) language plpgsql as $$ begin perform set_config('myapp.user_id', u, false); end $$;
create function f_set_tz() returns void language plpgsql as $$ begin perform set_config('timezone', 'Asia/Tokyo', false); end $$;
create function f_set() returns void language plpgsql as $$ begin if true then set work_mem = '13MB'; end if; end $$;
create function f_lock(k int) returns void language plpgsql as $$ begin perform pg_advisory_lock(k); end $$;
create function f_temp() returns void language plpgsql as $$ begin create temp table tt (a int); insert into tt values (7); end $$;
create function f_role(r text) returns void language plpgsql as $$ begin perform set_config('role', r, false); end $$;
create function f_listen() returns void language plpgsql as $$ begin listen quiet; end $$;
create function f_prepare() returns void language plpgsql as $$ begin execute 'prepare hidden as select 42 as x'; end $$;
create function f_plain(a int) returns int language sql as $$ select a + 1 $$;
create table logins (u text);
create function trg() returns trigger language plpgsql as $$ begin perform set_config('myapp.user_id', new.u, false); return new; end $$;
create trigger trg before insert on logins for each row execute function trg();
create function add_login(u text) returns void language sql as $$ insert into logins values (u) $$;
create table alt.t (v text); insert into alt.t values ('alt');
create table other.t (v text); insert into other.t values ('other');
create table public.t (v text); insert into public.t values ('public');
create sequence sq;
create table serials (id serial, v text);
create function audit_view_f() returns text language sql as $$ select set_config('myapp.user_id', 'from_view', false) $$;
create view login_view as select audit_view_f() as u;
create view direct_view as select set_config('myapp.user_id', 'from_view', false) as u;
create table with_default (a int, u text default set_config('myapp.user_id', 'by_default', false));
reset role;
alter table docs enable row level security;
create policy p on docs for select using (owner = coalesce(current_setting('myapp.user_id', true), '')
  or coalesce(current_setting('myapp.user_id', true), '') = '');
`

const user = "select current_setting('myapp.user_id', true) as u"
const locks = "select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
const channels = "select string_agg(x, ',' order by x) from pg_listening_channels() x"
const prepared = 'select count(*)::int from pg_prepared_statements'
const named =
  (name: string, text: string, values: unknown[] = []) =>
  (client: pg.Client) =>
    client.query({ name, text, values })
const bound = (text: string, values: unknown[]) => (client: pg.Client) => client.query(text, values)

export const SESSION_CASES: readonly SessionCase[] = [
  ['nothing', ['select 1'], 'select 2', { moves: true }],
  ['SET', ["set work_mem = '7MB'"], 'show work_mem', { moves: true }],
  ['SET, committed', ['begin', "set work_mem = '9MB'", 'commit'], 'show work_mem'],
  ['SET, rolled back', ["set work_mem = '5MB'", 'begin', "set work_mem = '9MB'", 'rollback'], 'show work_mem'],
  ['SET LOCAL', ['begin', "set local work_mem = '9MB'", 'commit'], 'show work_mem', { moves: true }],
  ['SET to a savepoint', ['begin', 'savepoint s', "set work_mem = '9MB'", 'rollback to s', 'commit'], 'show work_mem'],
  [
    'several SET in one text',
    ["set myapp.a = '1'; set myapp.b = '2'"],
    "select current_setting('myapp.a', true) || current_setting('myapp.b', true)",
  ],
  ['TIME ZONE', ["set time zone 'Europe/Berlin'"], 'show timezone'],
  ['TIME ZONE, a number', ['set time zone -7'], "select '2020-01-01 00:00Z'::timestamptz::text"],
  [
    'SESSION CHARACTERISTICS',
    ['set session characteristics as transaction isolation level serializable, read only'],
    "select current_setting('transaction_isolation') || current_setting('transaction_read_only')",
  ],
  [
    'search_path with odd names',
    ['set search_path = "$user", "od""d", alt, public'],
    "select current_setting('search_path') || v from t",
  ],
  ['search_path by set_config', ["select pg_catalog.set_config('search_path', 'other', false)"], 'select v from t'],
  [
    'search_path, empty',
    ["select pg_catalog.set_config('search_path', '', false)"],
    "select current_setting('search_path')",
  ],
  [
    'DateStyle and IntervalStyle',
    ["set datestyle = 'SQL, DMY'; set intervalstyle = 'iso_8601'"],
    "select date '2020-02-01' || ' ' || interval '1 day'",
  ],
  ['SET NAMES', ["set names 'LATIN1'"], 'show client_encoding'],
  ['application_name with quotes', [`set application_name = 'it''s \\ "x"'`], 'show application_name'],
  [
    'standard_conforming_strings off',
    ['set standard_conforming_strings = off', "set myapp.p = 'a\\\\b'"],
    "select current_setting('myapp.p', true)",
  ],
  [
    'standard_conforming_strings off and on again',
    ['set standard_conforming_strings = off', "set myapp.p = 'a\\\\b'", 'set standard_conforming_strings = on'],
    "select current_setting('myapp.p', true)",
  ],
  [
    'a prepared statement with escapes, then strings that conform',
    [
      'set standard_conforming_strings = off',
      named('esc', "select 'a\\\\b' as v"),
      'set standard_conforming_strings = on',
    ],
    named('esc', "select 'a\\\\b' as v"),
  ],
  [
    'PREPARE with escapes, then strings that conform',
    [
      'set standard_conforming_strings = off',
      "prepare esc as select 'a\\\\b' as v",
      'set standard_conforming_strings = on',
    ],
    'execute esc',
  ],
  [
    'transaction_timeout, where there is one',
    ["select set_config('transaction_timeout', '77s', false) from pg_settings where name = 'transaction_timeout'"],
    "select current_setting('transaction_timeout', true)",
  ],
  ['lock_timeout', ["set lock_timeout = '4s'"], 'show lock_timeout', { moves: true }],
  ['SET ROLE', ['set role limited'], 'select current_user'],
  [
    'SESSION AUTHORIZATION',
    ['set session authorization limited'],
    "select session_user || current_user || current_setting('is_superuser')",
    { options: { user: 'boss', password: 'boss' } },
  ],
  ['custom: SET', ["set myapp.user_id = 'alice'"], user, { moves: true }],
  ['custom: quoted name', [`set "myapp"."user_id" = 'alice'`], user],
  ['custom: set_config', ["select set_config('myapp.user_id', 'alice', false)"], user],
  [
    'custom: set_config in a transaction',
    ['begin', "select set_config('myapp.user_id', 'alice', false)", 'commit'],
    user,
  ],
  ['custom: value as parameter', [bound("select set_config('myapp.user_id', $1, false)", ['alice'])], user],
  ['custom: name as parameter', [bound('select set_config($1, $2, false)', ['myapp.user_id', 'alice'])], user],
  [
    'custom: name put together',
    [bound("select set_config('myapp.' || $1, $2, false)", ['rare_id', 'alice'])],
    "select current_setting('myapp.rare_id', true)",
  ],
  ['custom: is_local as parameter', [bound("select set_config('myapp.user_id', $1, $2)", ['alice', false])], user],
  [
    'custom: local, and so empty afterwards',
    ["select set_config('myapp.once', 'alice', true)"],
    "select current_setting('myapp.once', true)",
  ],
  [
    'custom: SET LOCAL, and so empty afterwards',
    ['begin', "set local myapp.once2 = 'alice'", 'commit'],
    "select current_setting('myapp.once2', true)",
  ],
  ['custom: local in a function', ["select login_local('alice')"], "select current_setting('myapp.local_id', true)"],
  ['custom: "set_config"', [`select "set_config"('myapp.user_id', 'alice', false)`], user],
  ['custom: pg_catalog."set_config"', [`select pg_catalog."set_config"('myapp.user_id', 'alice', false)`], user],
  ['custom: U&"…"', [`select U&"set\\005fconfig"('myapp.user_id', 'alice', false)`], user],
  ['custom: DO', ["do $$ begin perform set_config('myapp.user_id', 'alice', false); end $$"], user],
  ['custom: SET in DO', ["do $$ begin execute 'set myapp.user_id = ''alice'''; end $$"], user],
  [
    'custom: DO with a name put together',
    ["do $$ begin execute 'set my' || 'app.odd = ''alice'''; end $$"],
    "select current_setting('myapp.odd', true)",
  ],
  ['custom: CALL', ["call p_login_as('alice')"], user],
  ['custom: function', ["select login_as('alice')"], user],
  ['custom: function in a function', ["select login_twice('alice')"], user],
  ['custom: function with an odd name', [`select "Login Odd"('alice')`], user],
  ['custom: function by the extended protocol', [bound('select login_as($1)', ['alice'])], user],
  ['custom: function that is given the name', ["select set_any('myapp.user_id', 'alice')"], user],
  [
    'custom: function that is given a name that nothing else knows',
    ["select set_any('rare' || '.name', 'alice')"],
    "select current_setting('rare.name', true)",
  ],
  [
    'custom: function that is given a statement',
    ["select run_any('set rare' || '.other = 1')"],
    "select current_setting('rare.other', true)",
  ],
  ['custom: function that calls by name', ["select run_put_together('login_as')"], user],
  [
    'custom: function, row-level security',
    ["select login_as('alice')"],
    'select count(*)::int from docs',
    { options: { user: 'rls', password: 'rls' } },
  ],
  [
    'custom: CALL, row-level security',
    ["call p_login_as('alice')"],
    'select count(*)::int from docs',
    { options: { user: 'rls', password: 'rls' } },
  ],
  [
    'custom: DO, row-level security',
    ["do $$ begin perform set_config('myapp.user_id', 'alice', false); end $$"],
    'select count(*)::int from docs',
    { options: { user: 'rls', password: 'rls' } },
  ],
  ['custom: function after another value', ["set myapp.user_id = 'bob'", "select login_as('alice')"], user],
  ['custom: trigger', ["insert into logins values ('alice')"], user],
  ['custom: trigger, by a function that writes', ["select add_login('alice')"], user],
  ['custom: trigger, by COPY of a statement before', ['begin', "insert into logins values ('carol')", 'commit'], user],
  ['custom: view over a function', ['select * from login_view'], user],
  ['custom: view', ['select * from direct_view'], user],
  ['custom: default of a column', ['insert into with_default (a) values (1)'], user],
  [
    'custom: PREPARE and EXECUTE',
    ["prepare li as select set_config('myapp.user_id', $1, false)", "execute li('alice')"],
    user,
  ],
  [
    'custom: EXECUTE again',
    [
      "prepare li as select set_config('myapp.user_id', $1, false)",
      "execute li('bob')",
      'select 1',
      "execute li('alice')",
    ],
    user,
  ],
  [
    'custom: named statement twice',
    [
      named('li', "select set_config('myapp.user_id', $1, false)", ['bob']),
      named('li', "select set_config('myapp.user_id', $1, false)", ['alice']),
    ],
    user,
  ],
  [
    'custom: cursor',
    ['begin', "declare c cursor for select set_config('myapp.user_id', 'alice', false)", 'fetch all from c', 'commit'],
    user,
  ],
  ['custom: EXPLAIN ANALYZE', ["explain analyze select set_config('myapp.user_id', 'alice', false)"], user],
  ['custom: behind a comment that ends with CR', ["-- c\rset myapp.user_id = 'alice'"], user],
  ['custom: among comments', ["/* a /* b */ c */ -- x\nset /* y */ myapp.user_id = 'alice' -- z"], user],
  ['custom: empty', ["set myapp.e = ''"], "select coalesce('[' || current_setting('myapp.e', true) || ']', 'null')"],
  [
    'custom: RESET',
    ["set myapp.e = 'x'", 'reset myapp.e'],
    "select coalesce('[' || current_setting('myapp.e', true) || ']', 'null')",
  ],
  [
    'custom: UTF-8, then LATIN1',
    ["set myapp.user_id = 'josé'", "set client_encoding = 'LATIN1'"],
    "select length(current_setting('myapp.user_id', true))",
  ],
  [
    'RESET ALL',
    ["set myapp.user_id = 'alice'", "set work_mem = '7MB'", 'reset all'],
    "select coalesce(current_setting('myapp.user_id', true), 'null') || current_setting('work_mem')",
  ],
  [
    'DISCARD ALL',
    ["set work_mem = '7MB'", 'listen x', 'set role limited', 'prepare p as select 1', 'discard all'],
    `select current_setting('work_mem') || current_user || (${prepared})`,
  ],
  ['RESET', ["set work_mem = '7MB'", 'reset work_mem'], 'show work_mem'],
  ['SET TO DEFAULT', ["set work_mem = '7MB'", 'set work_mem to default'], 'show work_mem'],
  ['UPDATE pg_settings', ["update pg_settings set setting = '7000' where name = 'work_mem'"], 'show work_mem'],
  [
    'startup options',
    [],
    "select current_setting('search_path') || current_setting('work_mem') || current_setting('myapp.x', true)",
    { options: { options: '-c search_path=alt -c work_mem=6MB -c myapp.x=hi' } },
  ],
  [
    'startup options, SET, RESET',
    ['set search_path = other', 'reset search_path'],
    "select current_setting('search_path')",
    { options: { options: '-c search_path=alt' } },
  ],
  ['PREPARE', ['prepare p1 (int) as select $1 + 1 as x'], 'execute p1(41)'],
  ['PREPARE, odd name', [`prepare "P ""1" as select 'it''s; prepare' as x`], `execute "P ""1"`],
  ['PREPARE among others', ['select 1; prepare p2 as select 5; select 2'], 'execute p2'],
  ['PREPARE in a function', ['select f_prepare()'], 'execute hidden'],
  ['DEALLOCATE', ['prepare p4 as select 1', 'deallocate p4'], prepared],
  [
    'named statement',
    [named('n1', 'select $1::int * 2 as v', [4])],
    named('n1', 'select $1::int * 2 as v', [21]),
    { moves: true },
  ],
  ['named statement, DEALLOCATE', [named('n2', 'select 3'), 'deallocate n2'], prepared],
  [
    'named statement, UTF-8, then LATIN1',
    [named('n3', "select length('é') as l"), "set client_encoding = 'LATIN1'"],
    named('n3', "select length('é') as l"),
  ],
  [
    'named statement of a table that is dropped',
    ['create table gone (a int)', named('n4', 'select * from gone'), 'drop table gone'],
    prepared,
  ],
  ['LISTEN', ['listen ch', 'listen "Od d"'], channels],
  ['LISTEN in a transaction', ['begin', 'listen ch1', 'commit'], channels],
  ['LISTEN in a function', ['select f_listen()'], channels],
  ['UNLISTEN', ['listen ch', 'unlisten *'], channels],
  ['temporary table', ['create temp table q (a int)', 'insert into q values (1)'], 'select a from q'],
  [
    'temporary table by search_path',
    ['set search_path = pg_temp, alt', 'create table t (v text)', "insert into t values ('temp')"],
    'select v from t',
  ],
  [
    'temporary table in a function',
    ['select f_temp()'],
    "select count(*)::int from pg_class where relname = 'tt' and pg_table_is_visible(oid)",
  ],
  [
    'temporary table by EXECUTE in DO',
    ["do $$ begin execute 'create temp table dd (a int)'; end $$"],
    "select count(*)::int from pg_class where relname = 'dd' and pg_table_is_visible(oid)",
  ],
  [
    'temporary function',
    ["create function pg_temp.tf() returns int language sql as 'select 8'"],
    'select pg_temp.tf()',
  ],
  ['WITH HOLD', ['declare h cursor with hold for select generate_series(1, 3)'], 'fetch 1 from h', { answer: '[1]' }],
  ['WITH HOLD, closed', ['declare h cursor with hold for select 1', 'close h'], 'select count(*)::int from pg_cursors'],
  ['advisory lock', ['select pg_advisory_lock(1)'], locks],
  ['advisory lock, shared', ['select pg_try_advisory_lock_shared(11)'], locks],
  ['advisory lock in a function', ['select f_lock(2)'], locks],
  ['advisory lock by EXECUTE', ['prepare lk as select pg_advisory_lock($1)', 'execute lk(771)'], locks],
  [
    'advisory lock by a cursor',
    ['begin', 'declare c cursor for select pg_advisory_lock(772)', 'fetch all from c', 'commit'],
    locks,
  ],
  ['advisory lock by COPY', ['copy (select pg_advisory_lock(773)) to stdout'], locks],
  ['advisory lock of a transaction', ['begin', 'select pg_advisory_xact_lock(3)', 'commit'], locks, { moves: true }],
  ['time zone in a function', ['select f_set_tz()'], 'show timezone'],
  ['SET in a function', ['select f_set()'], 'show work_mem'],
  ['role in a function', ["select f_role('limited')"], 'select current_user'],
  ['currval', ["select nextval('sq')"], "select currval('sq') is not null"],
  ['lastval', ["insert into serials (v) values ('x')"], 'select lastval() is not null'],
  ['a row of a table with a sequence', ["insert into serials (v) values ('x')"], 'select 1', { moves: true }],
  ['setseed', ['select setseed(0.25)'], 'select random()', { answer: 'no other' }],
  [
    'LOAD',
    ["load 'auto_explain'"],
    "select count(*)::int from pg_settings where name = 'auto_explain.log_nested_statements'",
    { options: { user: 'boss', password: 'boss' } },
  ],
  [
    'statement_timeout of 1 ms',
    ["select set_config('myapp.user_id', 'alice', false)", 'set statement_timeout = 1'],
    user,
  ],
  [
    'client_min_messages',
    ['set client_min_messages = debug5', "select set_config('myapp.user_id', 'alice', false)"],
    user,
  ],
  ['row_security', ['set row_security = off'], 'show row_security'],
  ['default_transaction_read_only', ['set default_transaction_read_only = on'], 'show transaction_read_only'],
  [
    'planner settings',
    ['set plan_cache_mode = force_custom_plan; set enable_seqscan = off; set jit = off'],
    "select current_setting('plan_cache_mode') || current_setting('enable_seqscan') || current_setting('jit')",
  ],
  ['a plain function', ['select f_plain(1)'], 'select f_plain(2)'],
].map(([name, steps, probe, more = {}]) => ({ name, steps, probe, ...(more as object) }) as SessionCase)

export async function take(client: pg.Client, steps: readonly Step[]): Promise<void> {
  for (const step of steps) await (typeof step === 'string' ? client.query(step) : step(client))
}

/** What the probe says: its rows, or the code of its error. */
export async function ask(client: pg.Client, probe: Step): Promise<string> {
  try {
    const result = (await (typeof probe === 'string' ? client.query(probe) : probe(client))) as pg.QueryResult
    return JSON.stringify(result.rows.flatMap((row) => Object.values(row as object)))
  } catch (error) {
    return `error ${(error as { code?: string }).code ?? error}`
  }
}
