/**
 * What a database can do to a session without a word in the session's own statements: its functions, and what calls them
 * unseen (triggers, views, policies, defaults, operators). Read once from the database itself, by one of the sessions that are
 * in it, and compared by a fingerprint from then on. Pure.
 *
 * A function is known by its name alone, in whatever schema and with whatever arguments: a statement in which the name stands
 * may call it. What is called unseen may be called by any statement (by any that writes, when only triggers call it). Where
 * nothing in a database changes a session, which is the usual case, no statement costs anything.
 *
 * Functions of temporary schemas are left out: they are only called with the name of their schema, and bind a session anyway.
 *
 * The trap: only what exists can be read. A function that was made, called and dropped between two looks is not seen.
 */

import { askedAside } from '../messages.ts'
import { effectOfBody, namesIn, settingNamesIn } from './function-bodies.ts'
import { ANYTHING, ASK, customNamesOf, type Effect, type Hidden, together } from './statements.ts'

const NAME = '_understudy_door'

/** In the trees of views, policies and the like: set_config, setseed, and what takes or gives back advisory locks. */
const CHANGING = `':funcid (2078|1599|28(8[0-9]|9[0-2])) '`
/** A row is at most so many characters: of a longer message only the beginning is looked at (frames.ts). */
const PIECE = 15_000

/**
 * 1255 is pg_proc, 3079 pg_extension, 2620 pg_trigger, 3466 pg_event_trigger; objects of users have numbers from 16384. C functions of
 * extensions are taken to leave sessions alone, but for those of dblink, which keep connections.
 */
const questionOn = (sqlBody: string): string => `/* understudy: what this database does to sessions */
with f as materialized (
  select p.oid, p.proname as n, l.lanname as d, p.prosrc
    operator(pg_catalog.||) case when ${sqlBody} operator(pg_catalog.~) ${CHANGING}
      or p.proargdefaults::pg_catalog.text operator(pg_catalog.~) ${CHANGING} then '; select set_config()' else '' end
    operator(pg_catalog.||) coalesce((select '; ' operator(pg_catalog.||) pg_catalog.string_agg(q.proname::pg_catalog.text, ' ' order by q.oid)
      from pg_catalog.pg_depend d join pg_catalog.pg_proc q on q.oid operator(pg_catalog.=) d.refobjid
      where d.classid operator(pg_catalog.=) 1255 and d.objid operator(pg_catalog.=) p.oid and d.refclassid operator(pg_catalog.=) 1255), '') as t
  from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang
  where p.oid operator(pg_catalog.>=) 16384 and pg_catalog.left(p.pronamespace::pg_catalog.regnamespace::pg_catalog.text, 8) operator(pg_catalog.<>) 'pg_temp_'
    and not (l.lanname operator(pg_catalog.=) 'c' and exists (
    select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid operator(pg_catalog.=) d.refobjid
    where d.classid operator(pg_catalog.=) 1255 and d.objid operator(pg_catalog.=) p.oid and d.refclassid operator(pg_catalog.=) 3079
      and e.extname operator(pg_catalog.<>) 'dblink'))
), c(k, n, d, i, t) as (
  select 'function', n::pg_catalog.text, pg_catalog.concat(d, ' ', oid), i, pg_catalog.substr(t, i operator(pg_catalog.*) ${PIECE} operator(pg_catalog.+) 1, ${PIECE})
    from f, pg_catalog.generate_series(0, pg_catalog.length(t) operator(pg_catalog./) ${PIECE}) i
  union all select distinct 'used', q.proname::pg_catalog.text, case when d.classid operator(pg_catalog.=) any ('{2620,3466}'::pg_catalog.oid[]) then 'trigger' else 'other' end, 0, ''
    from pg_catalog.pg_depend d join pg_catalog.pg_proc q on q.oid operator(pg_catalog.=) d.refobjid
    where d.refclassid operator(pg_catalog.=) 1255 and d.classid operator(pg_catalog.<>) 1255 and q.oid operator(pg_catalog.>=) 16384
  union all select 'changing', '', '', 0, pg_catalog.left(t, ${PIECE}) from (
    select pg_catalog.pg_get_ruledef(oid) as t from pg_catalog.pg_rewrite where oid operator(pg_catalog.>=) 16384 and ev_action::pg_catalog.text operator(pg_catalog.~) ${CHANGING}
    union all select pg_catalog.concat(pg_catalog.pg_get_expr(polqual, polrelid), ' ', pg_catalog.pg_get_expr(polwithcheck, polrelid)) from pg_catalog.pg_policy
      where pg_catalog.concat(polqual, polwithcheck) operator(pg_catalog.~) ${CHANGING}
    union all select pg_catalog.pg_get_expr(adbin, adrelid) from pg_catalog.pg_attrdef where oid operator(pg_catalog.>=) 16384 and adbin::pg_catalog.text operator(pg_catalog.~) ${CHANGING}
    union all select pg_catalog.pg_get_constraintdef(oid) from pg_catalog.pg_constraint where oid operator(pg_catalog.>=) 16384 and conbin::pg_catalog.text operator(pg_catalog.~) ${CHANGING}
    union all select pg_catalog.pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgqual::pg_catalog.text operator(pg_catalog.~) ${CHANGING}) x
  union all select 'text', '', '', 0, pg_catalog.left(pg_catalog.concat(pg_catalog.pg_get_expr(polqual, polrelid), ' ', pg_catalog.pg_get_expr(polwithcheck, polrelid)), ${PIECE})
    from pg_catalog.pg_policy
  union all select 'default', '', '', 0, pg_catalog.left(s, ${PIECE}) from pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) s
)
select k, n, d, t from (select * from c where $1 operator(pg_catalog.=) 'all' order by k, n, d, i) a
union all select 'fingerprint', pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws('|', k, n, d, i, t), '' order by
  k collate pg_catalog."C", n collate pg_catalog."C", d collate pg_catalog."C", i, t collate pg_catalog."C")), '', '' from c`

/** PostgreSQL 14 keeps the bodies of some functions as trees. */
const [WITH_BODIES, WITHOUT_BODIES] = [questionOn('p.prosqlbody::pg_catalog.text'), questionOn("''")]

/** `all`: what there is. `fingerprint`: whether it is what it was. `version`: what the server says of itself. */
export function catalogueQuestion(what: 'all' | 'fingerprint', version = ''): Buffer {
  return askedAside(NAME, Number.parseInt(version, 10) < 14 ? WITHOUT_BODIES : WITH_BODIES, what)
}

export type Rows = readonly (readonly (string | null)[])[]

/** Null when nothing is there; undefined when the rows are no answer to this question. */
export function fingerprintIn(rows: Rows): string | undefined {
  const row = rows.find(([kind]) => kind === 'fingerprint')
  return row && (row[1] ?? 'empty')
}

/** What may be done unseen: by no statement, by those that write, or by any. */
interface Unseen {
  readonly byWrites: Effect
  readonly byAny: Effect
}

const NONE: Effect = { kind: 'none' }
/** Statements in which a trigger may be hidden. */
const WRITES =
  /\b(?:insert|update|delete|merge|copy|truncate|into|call|do|execute|create|alter|drop|comment|grant|revoke|refresh|reindex|import|security)\b/i
/** These call nothing. What a COMMIT calls was put off by a statement before it. */
const CALLS_NOTHING =
  /^\s*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint\s+\w+|release\s+(?:savepoint\s+)?\w+|show\s+\w+|discard\s+all|set\s+[\w.]+\s*(?:=|to)\s*[\w']*)\b[^;]*;?\s*$/i
/** More names than can be looked for in every statement, or asked for. */
const NAMES_MAX = 500

export class Catalogue implements Hidden {
  readonly fingerprint: string
  /** When it was asked for, the last time that it was found to be so. Every statement before is covered. */
  verifiedAtMs: number
  /** Settings of the application's own that are spoken of in this database. */
  readonly customNames: ReadonlySet<string>
  readonly #unseen: Unseen
  readonly #functions: ReadonlyMap<string, Effect>
  readonly #pattern: RegExp | undefined
  /** Of the functions whose names are not ASCII. */
  readonly #foreign: Effect

  constructor(rows: Rows, verifiedAtMs = 0, isTrusted: (name: string) => boolean = () => false) {
    this.verifiedAtMs = verifiedAtMs
    this.fingerprint = fingerprintIn(rows) ?? ''
    const bodies = bodiesIn(rows, isTrusted)
    const functions = withTriggers(rows, bodies)
    const changing = [...functions].filter(([, { kind }]) => kind !== 'none')
    this.#functions = new Map(changing.map(([name, effect]) => [name.toLowerCase(), effect]))
    this.#unseen = unseenIn(rows, functions)
    const names = [...this.#functions.keys()]
    if (names.length > NAMES_MAX) {
      this.#unseen = { ...this.#unseen, byAny: together([this.#unseen.byAny, ...this.#functions.values()]) }
    } else if (names.length > 0) this.#pattern = new RegExp(names.map(patternOf).join('|'), 'gi')
    // In another encoding they are written otherwise.
    this.#foreign = together(
      names.filter((name) => /[\x80-\xff]/.test(name)).map((name) => this.#functions.get(name) ?? NONE),
    )
    this.customNames = new Set(
      [...functions.values()].flatMap(customNamesOf).concat(textsIn(rows).flatMap(settingNamesIn)),
    )
  }

  effectOf(text: string): Effect {
    const { byAny, byWrites } = this.#unseen
    if (this.#pattern === undefined && byAny.kind === 'none' && byWrites.kind === 'none') return NONE
    const named = this.#pattern ? (text.match(this.#pattern) ?? []) : []
    const effects = named.map((name) => this.#functions.get(name.toLowerCase().replaceAll('""', '"')) ?? NONE)
    if (this.#foreign.kind !== 'none' && /[\x80-\xff]/.test(text)) effects.push(this.#foreign)
    if (byAny.kind !== 'none' && !CALLS_NOTHING.test(text)) effects.push(byAny)
    if (byWrites.kind !== 'none' && WRITES.test(text)) effects.push(byWrites)
    return together(effects)
  }
}

/** As a whole word, where it begins and ends like one. A quote inside of a quoted name is doubled. */
function patternOf(name: string): string {
  const text = name.replaceAll('"', '""').replaceAll(/[^\w]/g, '\\$&')
  return `${/^[\w$]/.test(name) ? '(?<![\\w$])' : ''}${text}${/[\w$]$/.test(name) ? '(?![\\w$])' : ''}`
}

/** While nothing is known of a database, every statement may do anything that can be asked for. */
export const UNREAD: Hidden = { effectOf: (text) => (CALLS_NOTHING.test(text) ? NONE : ASK) }

interface Body {
  readonly effect: Effect
  readonly names: ReadonlySet<string>
}

/** By name: those of one name together. Values that a function is given are not the values of the statement. */
function bodiesIn(rows: Rows, isTrusted: (name: string) => boolean): Map<string, Body> {
  const pieces = new Map<string, { name: string; language: string; text: string }>()
  for (const [kind, name, place, text] of rows) {
    if (kind !== 'function' || !name || !place || isTrusted(name)) continue
    const piece = pieces.get(`${name} ${place}`) ?? { name, language: place.split(' ')[0] ?? '', text: '' }
    pieces.set(`${name} ${place}`, { ...piece, text: piece.text + (text ?? '') })
  }
  const bodies = new Map<string, Body>()
  for (const { name, language, text } of pieces.values()) {
    const isAggregate = language === 'internal' && text.startsWith('aggregate_dummy')
    const read = isAggregate ? NONE : effectOfBody(language, text)
    const effect = read.kind === 'unsure' && (read.namesIn?.length ?? 0) > 0 ? together([read, ANYTHING]) : read
    const before = bodies.get(name)
    const names = new Set([...(before?.names ?? []), ...namesIn(text)])
    bodies.set(name, { effect: together([before?.effect ?? NONE, effect]), names })
  }
  return bodies
}

/** What each does, with all that it calls. */
function effectsOf(bodies: ReadonlyMap<string, Body>): Map<string, Effect> {
  const effects = new Map([...bodies].map(([name, { effect }]) => [name, effect]))
  for (let changed = true; changed; ) {
    changed = false
    for (const [name, body] of bodies) {
      const called = [...body.names].flatMap((one) => (one === name ? [] : (effects.get(one) ?? [])))
      const before = effects.get(name) ?? NONE
      const after = unique(together([before, ...called.filter(({ kind }) => kind !== 'none')]))
      if (sameEffect(before, after)) continue
      effects.set(name, after)
      changed = true
    }
  }
  return effects
}

/** A function that writes calls what the triggers of its tables call. */
function withTriggers(rows: Rows, bodies: ReadonlyMap<string, Body>): Map<string, Effect> {
  const functions = effectsOf(bodies)
  const { byWrites } = unseenIn(rows, functions)
  if (byWrites.kind === 'none') return functions
  const writing = [...bodies].map(([name, body]): [string, Body] => {
    const writes = [...body.names].some((one) => WRITES.test(one))
    return [name, writes ? { ...body, effect: together([body.effect, byWrites]) } : body]
  })
  return effectsOf(new Map(writing))
}

function unique(effect: Effect): Effect {
  return effect.kind === 'unsure' || effect.kind === 'touch'
    ? { ...effect, customNames: [...new Set(effect.customNames)] }
    : effect
}

function sameEffect(one: Effect, other: Effect): boolean {
  const isUnknowable = (effect: Effect) => effect.kind === 'unsure' && effect.isUnknowable
  return (
    one.kind === other.kind &&
    isUnknowable(one) === isUnknowable(other) &&
    customNamesOf(one).length === customNamesOf(other).length
  )
}

function unseenIn(rows: Rows, functions: ReadonlyMap<string, Effect>): Unseen {
  const used = (by: string) => rows.filter(([kind, , how]) => kind === 'used' && how === by)
  const effectOf = (by: string) => together(used(by).map(([, name]) => functions.get(name ?? '') ?? NONE))
  const changing = rows
    .filter(([kind]) => kind === 'changing')
    .map(([, , , text]) => together([ASK, effectOfBody('sql', text ?? '')]))
  // Tables that every session makes on a search_path that starts with temporary ones.
  const isTemporary = rows.some(([kind, , , text]) => kind === 'default' && text?.includes('pg_temp') === true)
  const more = [...changing, ...(isTemporary ? [ASK] : [])]
  return { byWrites: unique(effectOf('trigger')), byAny: unique(together([effectOf('other'), ...more])) }
}

function textsIn(rows: Rows): string[] {
  return rows.flatMap(([kind, , , text]) => {
    if (kind === 'default') return [`'${(text ?? '').split('=')[0]}'`]
    return kind === 'text' || kind === 'function' ? [text ?? ''] : []
  })
}
