/**
 * What is documented is what is so, in both directions. `npm run docs` rewrites what is printed from the code; what is
 * written by hand is compared.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { KINDS } from '../src/config/kinds/index.ts'
import { clusterShape, nodeSchema } from '../src/config/schema/cluster-schema.ts'
import { optionDocs } from '../src/config/schema/vocabulary.ts'
import { ERRORS } from '../src/errors.ts'
import { readDocstrings } from './docs/docstrings.ts'
import { fillIn, printedParts } from './docs/markdown.ts'
import { documented, isOptional, jsonSchema, type Shape, sections, unwrap } from './docs/options.ts'
import { rolesTable, rulesTable } from './docs/words.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Compares a file with what it should be; `npm run docs` writes it instead. */
function expectFresh(path: string, content: string): void {
  if (process.env.REWRITE) writeFileSync(join(root, path), content)
  expect(read(path), `${path} is not what the code says: run npm run docs`).toBe(content)
}

describe('docs/config.md', () => {
  test('says what the schemas say', () => {
    expectFresh('docs/config.md', fillIn(read('docs/config.md'), printedParts()))
  })

  test('has every option once, and no other', () => {
    const headings = [...read('docs/config.md').matchAll(/^#### `(.+)`$/gm)].map((match) => match[1])
    const options = sections().flatMap((section) => section.options.map(({ path }) => path))
    expect(headings).toEqual(options)
    for (const kind of KINDS) for (const option of Object.keys(kind.schema.shape)) expect(headings).toContain(option)
    for (const option of Object.keys(clusterShape)) expect(headings).toContain(option)
  })

  test('every example in it is a config that can be used', async () => {
    const { compileCluster } = await import('../src/config/compile.ts')
    const examples = [...read('docs/config.md').matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')
    expect(examples.length).toBeGreaterThan(0)
    for (const example of examples) compileCluster(JSON.parse(example))
  })
})

describe('docs/rules.md and docs/roles.md', () => {
  test('say what the core says', () => {
    expectFresh('docs/rules.md', fillIn(read('docs/rules.md'), { rules: rulesTable() }))
    expectFresh('docs/roles.md', fillIn(read('docs/roles.md'), { roles: rolesTable() }))
  })
})

describe('docs/config.schema.json', () => {
  test('is what the schemas say', () => {
    expectFresh('docs/config.schema.json', `${JSON.stringify(jsonSchema(), null, 2)}\n`)
  })

  test('accepts what is right and refuses what is wrong', () => {
    const schema = z.fromJSONSchema(JSON.parse(read('docs/config.schema.json')))
    const web = { kind: 'http', options: { run: 'node server.js', listen: 8080, grace: '5s' } }
    const shop = { name: 'shop', nodes: { a: {}, b: { zone: 'south' } }, services: { web } }
    expect(schema.safeParse(shop).success).toBe(true)
    expect(schema.safeParse({ ...shop, nam: 'shop' }).success).toBe(false)
    expect(schema.safeParse({ ...shop, services: { web: { ...web, kind: 'htp' } } }).success).toBe(false)
    expect(schema.safeParse({ ...shop, services: { web: { kind: 'http', options: { run: 'x' } } } }).success).toBe(
      false,
    )
  })
})

describe('comments on the public types', () => {
  const shapes: Readonly<Record<string, Shape>> = {
    ClusterOptions: clusterShape,
    NodeOptions: nodeSchema.shape as Shape,
    ...Object.fromEntries(
      KINDS.map(({ name, schema }) => [`${name[0]?.toUpperCase()}${name.slice(1)}Options`, schema.shape as Shape]),
    ),
  }
  const inner = (shape: Shape | undefined, name: string) => {
    const schema = shape?.[name] && unwrap(shape[name])
    return (schema instanceof z.ZodObject ? schema.shape : {}) as Shape
  }
  const service = shapes.HttpOptions
  const byInterface: Readonly<Record<string, Shape | undefined>> = {
    ...shapes,
    ApiOptions: inner(clusterShape, 'api'),
    TimingOptions: inner(clusterShape, 'timing'),
    ServiceTimingOptions: inner(clusterShape, 'timing'),
    ServiceOptions: service,
    ProcessServiceOptions: service,
    ObjectiveOptions: inner(service, 'objectives'),
    UpdateOption: inner(service, 'update'),
    PromoteOption: inner(service, 'promote'),
    LimitOptions: inner(service, 'limits'),
    LogOptions: inner(service, 'log'),
    HttpEndpointOptions: inner(shapes.HttpOptions, 'endpoint'),
    TcpEndpointOptions: inner(shapes.CommandOptions, 'endpoint'),
    HttpCheckOption: inner(service, 'check'),
    CheckOption: inner(shapes.CommandOptions, 'check'),
    PostgresDatabaseOption: inner(shapes.PostgresOptions, 'database'),
    PostgresSessionOptions: inner(shapes.PostgresOptions, 'sessions'),
    PostgresLimitOptions: inner(shapes.PostgresOptions, 'limits'),
  }
  const docstrings = new Map([
    ...readDocstrings(root, 'src/config/cluster-options.ts'),
    ...readDocstrings(root, 'src/config/service-options.ts'),
    ...readDocstrings(root, 'src/config/postgres-options.ts'),
  ])
  const cases = [...docstrings]
    .filter(([name]) => name !== 'Declaration')
    .flatMap(([name, options]) =>
      [...options].map(([option, doc]) => [`${name}.${option}`, byInterface[name]?.[option], doc] as const),
    )

  test.each(cases)('%s', (_, schema, doc) => {
    expect(schema, 'the schema has no such option').toBeDefined()
    if (schema === undefined) return
    expect(doc.means).toBe(optionDocs.get(schema)?.means)
    expect(doc.default).toBe(optionDocs.get(schema)?.default)
    expect(doc.optional).toBe(isOptional(schema))
  })

  test('the types have every option of the schemas', () => {
    const typed = new Set(cases.map(([, schema]) => schema))
    const everything = [clusterShape, nodeSchema.shape as Shape, ...KINDS.map(({ schema }) => schema.shape as Shape)]
    const missing = everything.flatMap((shape) => Object.entries(shape).filter(([, schema]) => !typed.has(schema)))
    expect(missing.map(([name]) => name)).toEqual([])
    expect(everything.flatMap((shape) => documented(shape, 3)).filter(({ doc }) => doc === undefined)).toEqual([])
  })
})

describe('docs/errors.md', () => {
  test('has every code once, with its exit code, whether to try again, and what it means', () => {
    const rows = [
      ...read('docs/errors.md').matchAll(/^\| `(UND_[A-Z_]+)` \| (\d+) \| (yes|no) \| (.+?) \| (.+?) \|$/gm),
    ]
    const documented = rows.map(([, code, exit, again, means]) => ({
      code,
      exit: Number(exit),
      retryable: again === 'yes',
      means,
    }))
    const coded = Object.entries(ERRORS).map(([code, { exit, retryable, means }]) => ({ code, exit, retryable, means }))
    expect(documented).toEqual(coded)
  })

  test('says what each exit code stands for', () => {
    const listed = [...read('docs/errors.md').matchAll(/^\| (\d+) \| /gm)].map((match) => Number(match[1]))
    const used = [...new Set(Object.values(ERRORS).map(({ exit }) => exit))]
    expect(listed.filter((exit) => exit > 1).sort((a, b) => a - b)).toEqual(used.sort((a, b) => a - b))
  })
})

describe('every page', () => {
  const pages = ['', 'docs', 'docs/decisions'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  )

  /** Each link of a page that does not lead out of the repository: the page it leads to, and the heading there, if any. */
  const linksOf = (page: string) => {
    const prose = read(page).replace(/^```[\s\S]*?^```/gm, '')
    return [...prose.matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].map(([, path = '', heading]) => {
      return { target: path === '' ? page : join(dirname(page), path), heading }
    })
  }

  test.each(pages)('%s links to files that are there', (page) => {
    const missing = linksOf(page).filter(({ target }) => !existsSync(join(root, target)))
    expect(missing).toEqual([])
  })

  test.each(pages)('%s links to headings that are there', (page) => {
    const missing = linksOf(page).filter(({ target, heading }) => {
      return heading !== undefined && existsSync(join(root, target)) && !anchorsIn(read(target)).has(heading)
    })
    expect(missing).toEqual([])
  })

  test.each(pages)('%s names sources that are there', (page) => {
    const prose = read(page).replace(/^```[\s\S]*?^```/gm, '')
    const named = [...prose.matchAll(/`([\w.-]+\/[\w./-]+\.(?:ts|mjs))`/g)].map(([, path = '']) => path)
    const roots = ['', 'src', 'src/drivers/postgres']
    expect(named.filter((path) => !roots.some((folder) => existsSync(join(root, folder, path))))).toEqual([])
  })

  test.each(pages.filter((page) => !page.startsWith('docs/decisions/')))('%s names who acts', (page) => {
    // Names in code keep their words, and so does the table that `npm run mutants` writes.
    const prose = read(page)
      .replace(/^```[\s\S]*?^```/gm, '')
      .replace(/<!-- mutants[\s\S]*?<!-- end of mutants -->/, '')
      .replace(/`[^`]*`|\]\([^)]*\)/g, '')
    const vague = /\b(people|somebody|whoever|nobody|anybody|everybody|unwell|doors?|handover)\b/gi
    expect([...prose.matchAll(vague)].map(([word]) => word)).toEqual([])
  })

  test('docs/README.md leads to every page of docs', () => {
    const linked = new Set(linksOf('docs/README.md').map(({ target }) => target))
    const unlinked = pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md' && !linked.has(page))
    expect(unlinked).toEqual([])
  })
})

/** What a heading can be linked by: as GitHub makes it, without marks, and numbered from the second of one name on. */
function anchorsIn(text: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  const seen = new Map<string, number>()
  for (const [, heading = ''] of text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    const before = seen.get(anchor) ?? 0
    seen.set(anchor, before + 1)
    anchors.add(before === 0 ? anchor : `${anchor}-${before}`)
  }
  return anchors
}
