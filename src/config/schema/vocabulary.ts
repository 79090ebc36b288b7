/**
 * The kinds of values that options are made of, each with what it is called and what to write. Checks, complaints, the
 * JSON schema and docs/config.md all come from these and from the schemas built on them, so they cannot disagree.
 *
 * Nothing here fills in a default or converts anything: a schema says what may be written, compiling does the rest.
 */
import { isIPv4 } from 'node:net'
import { z } from 'zod'
import { parseDuration } from '../../lib/duration.ts'
import { isHeaderName, isHeaderValue, parseStatus } from '../../lib/http-question.ts'
import { parseSize } from '../../lib/size.ts'

/** How complaints speak of a kind of value: `is 3, not ${what}`, `write ${write}`. */
export interface Words {
  readonly what: string
  readonly write: string
  /** What is written there is not shown. */
  readonly secret?: true
}

/** What docs/config.md says of one option. */
export interface OptionDoc {
  /** What it is. The docstring of the option's type has the same sentence; a test compares them. */
  readonly means: string
  /** Its default as printed; required options have none. */
  readonly default?: string
  /** Which way to turn it, and when. */
  readonly turn: string
  /** What goes wrong when it is wrong. */
  readonly breaks: string
}

export const words = z.registry<Words>()
export const optionDocs = z.registry<OptionDoc>()

/** An option that may be left out. */
export function option<T extends z.ZodType>(type: T, doc: OptionDoc & { readonly default: string }) {
  const schema = type.exactOptional()
  optionDocs.add(schema, doc)
  return schema
}

/** An option that must be written. */
export function required<T extends z.ZodType>(type: T, doc: Omit<OptionDoc, 'default'>) {
  const schema = z.nonoptional(type) // a new one each time: the type itself is shared by other options
  optionDocs.add(schema, doc)
  return schema
}

/** An object of options that may be left out, or hold any of its own: documented by what is in it. */
export function group<Shape extends z.core.$ZodLooseShape>(shape: Shape, what: string, write: string) {
  return z.strictObject(shape).register(words, { what, write })
}

/** The names of nodes, services and clusters: they become parts of paths, metrics labels and store keys. */
export const name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/)
  .register(words, {
    what: 'a name',
    write: 'lower-case letters, digits and dashes, beginning with a letter, at most 63, such as web-1',
  })

/** The kernel takes text up to the first zero byte, so text with one inside would silently mean something else. */
const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => !value.includes('\0'))

export const label = text(63).register(words, { what: 'a word', write: 'a short text, such as north' })

export const folder = text(4096).register(words, { what: 'a folder', write: 'a path, such as ./app or /srv/shop' })

export const urlPath = z
  .string()
  .regex(/^\/[!-~]{0,2047}$/)
  .register(words, { what: 'a path of a URL', write: 'a path that begins with a slash, such as /healthz' })

export const port = z.int().min(1).max(65_535).register(words, {
  what: 'a port',
  write: 'a whole number from 1 to 65535, such as 8080',
})

export const count = (least: number, most: number, example: number) =>
  z
    .int()
    .min(least)
    .max(most)
    .register(words, {
      what: `a whole number from ${least} to ${most}`,
      write: `a whole number from ${least} to ${most}, such as ${example}`,
    })

/** Timers in JavaScript overflow after 24.8 days, and nothing that is waited for here is worth more than one. */
const LONGEST_MS = 24 * 60 * 60 * 1000

export const duration = z
  .union([z.string(), z.number()])
  .refine((value) => (parseDuration(value) ?? Number.POSITIVE_INFINITY) <= LONGEST_MS)
  .register(words, { what: 'a duration', write: "a duration up to 24h, such as '250ms', '5s' or '2m'" })

export const size = z
  .union([z.string(), z.number()])
  .refine((value) => (parseSize(value) ?? 0) > 0)
  .register(words, { what: 'a size', write: "a size, such as '512MiB' or '2GiB'" })

/** Not 0.0.0.0, not a group of machines: one node. */
export const address = z
  .ipv4()
  .refine((value) => isIPv4(value) && isOneMachine(value))
  .register(words, { what: 'the IPv4 address of one machine', write: "an address such as '10.0.0.1'" })

function isOneMachine(value: string): boolean {
  const first = Number(value.split('.')[0])
  return first > 0 && first < 224 // 0.x is "this network", 224 to 255 are multicast, reserved and broadcast
}

export const oneOf = <const T extends readonly string[]>(values: T) => {
  const list = values.map((value) => `'${value}'`)
  const write = list.length === 1 ? `${list[0]}` : `${list.slice(0, -1).join(', ')} or ${list.at(-1)}`
  return z.enum(values).register(words, { what: `${list.length === 2 ? 'either' : 'one of'} ${write}`, write })
}

export const flag = z.boolean().register(words, { what: 'true or false', write: 'true or false' })

export const run = z
  .union([text(131_072), z.array(text(131_072)).min(1)]) // one argument's limit on Linux: MAX_ARG_STRLEN
  .register(words, {
    what: 'a program to run',
    write: "a line for the shell, such as 'node server.js', or a list of words, such as ['node', 'server.js']",
  })

export const user = z.union([text(32), z.int().min(0).max(4_294_967_294)]).register(words, {
  what: 'a user',
  write: "the name or number of a user, such as 'www-data' or 1000",
})

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
  .max(255)
  .register(words, { what: 'the name of a variable', write: 'letters, digits and underscores, such as LOG_LEVEL' })

const SECRET: Words = {
  what: "secret('…') with a name",
  write: "secret('db-password'), with a name of lower-case letters, digits and dashes",
  secret: true, // a password that was written in its place
}

export const secretRef = z
  .strictObject({
    $secret: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/)
      .register(words, SECRET),
  })
  .register(words, SECRET)

export const password = z.union([text(255), secretRef]).register(words, {
  what: 'a password or a secret',
  write: "secret('db-password'), or text",
  secret: true,
})

export const environment = z
  .record(
    variable,
    z
      .union([
        z
          .string()
          .max(131_072)
          .refine((value) => !value.includes('\0')),
        secretRef,
      ])
      .register(words, {
        what: 'text or a secret',
        write: "text in quotes, such as '3000', or secret('db-password')",
        secret: true,
      }),
  )
  .register(words, { what: 'an object of variables', write: "an object, such as { LOG_LEVEL: 'debug' }" })

export const secretFiles = z.record(variable, secretRef).register(words, {
  what: 'an object of secrets',
  write: "an object, such as { DB_PASSWORD_FILE: secret('db-password') }",
})

const aStatus = z.union([z.int(), z.string()]).refine((value) => parseStatus(value) !== undefined)

export const statuses = z.union([aStatus, z.array(aStatus).min(1)]).register(words, {
  what: 'a status, a range or a list of them',
  write: "a status or a range, such as 200 or '200-299', or a list of them",
})

export const headers = z
  .record(
    z.string().refine(isHeaderName).register(words, {
      what: 'the name of a header that a check may set',
      write: 'letters, digits and dashes, such as X-Check; not one that frames the message, such as Content-Length',
    }),
    z.string().refine(isHeaderValue).register(words, {
      what: 'the value of a header',
      write: "text on one line without control characters, such as 'shop.example'",
      secret: true,
    }),
  )
  .register(words, { what: 'an object of headers', write: "an object, such as { Host: 'shop.example' }" })

export const hostName = z
  .string()
  .max(253)
  .regex(/^(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/)
  .register(words, { what: 'the name of a host', write: "a name, not an address, such as 'shop.example'" })

/** Names of other things in this config; whether they are there is checked when all of it is known. */
export const names = z
  .array(z.string().register(words, { what: 'a name', write: "a name in quotes, such as 'web'" }))
  .register(words, { what: 'a list of names', write: "a list of names, such as ['db', 'web']" })
