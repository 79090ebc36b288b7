/**
 * The options as docs/config.md and docs/config.schema.json tell them: read from the schemas that check them, so that
 * what is documented and what is accepted are one thing.
 */
import { z } from 'zod'
import { KINDS } from '../../src/config/kinds/index.ts'
import { processShape } from '../../src/config/kinds/process-shape.ts'
import { clusterShape, nodeSchema } from '../../src/config/schema/cluster-schema.ts'
import { clusterTimingShape, serviceTimingShape } from '../../src/config/schema/timing-schema.ts'
import { type OptionDoc, optionDocs, words } from '../../src/config/schema/vocabulary.ts'

export type Shape = Readonly<Record<string, z.ZodType>>

export interface DocumentedOption {
  /** As it is written under its section: `promote.signal`. */
  readonly path: string
  readonly what: string
  readonly required: boolean
  readonly doc: OptionDoc | undefined
}

/** The headings of docs/config.md, and the options under each. An option stands under the first that has it. */
export function sections(): { readonly title: string; readonly options: readonly DocumentedOption[] }[] {
  const shared: Shape = without(processShape, Object.keys(serviceTimingShape))
  const timing: Shape = { ...serviceTimingShape, ...clusterTimingShape }
  const own = KINDS.map((kind) => ({
    title: 'run' in kind.schema.shape ? `\`${kind.name}()\` alone` : `\`${kind.name}()\``,
    options: documented(ownOf(kind.schema.shape as Shape)),
  }))
  return [
    { title: 'The cluster', options: documented(without(clusterShape, ['timing'])) },
    { title: 'A node', options: documented(nodeSchema.shape as Shape) },
    { title: '`http()` and `command()`', options: documented(shared) },
    ...own,
    { title: 'Timing of a service', options: documented(serviceTimingShape) },
    {
      title: 'Timing of the cluster',
      options: documented({ timing: clusterShape.timing }, 0).concat(
        documented(without(timing, Object.keys(serviceTimingShape))),
      ),
    },
  ]
}

/** What is not the very same option as that of a process. */
function ownOf(shape: Shape): Shape {
  const shared: Shape = processShape
  return Object.fromEntries(Object.entries(shape).filter(([name, schema]) => shared[name] !== schema))
}

/** An option and the options inside of it. */
export function documented(shape: Shape, depth = 1, prefix = ''): DocumentedOption[] {
  return Object.entries(shape).flatMap(([name, schema]) => {
    const inner = unwrap(schema)
    const path = `${prefix}${name}`
    const entry = {
      path,
      what: words.get(inner)?.what ?? '',
      required: !isOptional(schema),
      doc: optionDocs.get(schema),
    }
    const nested =
      depth > 0 && inner instanceof z.ZodObject ? documented(inner.shape as Shape, depth - 1, `${path}.`) : []
    return [entry, ...nested]
  })
}

export function isOptional(schema: z.ZodType): boolean {
  return schema instanceof z.ZodExactOptional
}

export function unwrap(schema: z.ZodType): z.ZodType {
  let inner: unknown = schema
  while (inner instanceof z.ZodExactOptional || inner instanceof z.ZodNonOptional) inner = inner.unwrap()
  return inner as z.ZodType
}

function without(shape: Shape, names: readonly string[]): Shape {
  return Object.fromEntries(Object.entries(shape).filter(([name]) => !names.includes(name)))
}

/** Every schema that a JSON file is held against, as JSON Schema 2020-12. */
export function jsonSchema(): unknown {
  const traits = z.strictObject(
    Object.fromEntries(
      ['singleWriter', 'replicates', 'reportsPosition', 'canRewind'].map((name) => [name, z.boolean()]),
    ),
  )
  const service = z.union(
    KINDS.map((kind) =>
      z.strictObject({ kind: z.literal(kind.name), traits: traits.exactOptional(), options: kind.schema }),
    ),
  )
  const services = z.nonoptional(z.record(clusterShape.services.unwrap().keyType, service))
  optionDocs.add(services, optionDocs.get(clusterShape.services) as OptionDoc)
  const cluster = z.strictObject({ $schema: z.string().exactOptional(), ...clusterShape, services })
  return {
    title: 'A cluster of Understudy',
    ...z.toJSONSchema(cluster, { io: 'input', reused: 'inline', override: describe }),
  }
}

function describe({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType
  jsonSchema: z.core.JSONSchema.BaseSchema
}): void {
  const doc = optionDocs.get(zodSchema as z.ZodType)
  const said = words.get(zodSchema as z.ZodType)
  if (said) jsonSchema.description = `Write ${said.write}.`
  if (doc) {
    const preset = doc.default === undefined ? '' : ` Default: ${doc.default}.`
    const write = words.get(unwrap(zodSchema as z.ZodType))?.write
    jsonSchema.description = `${doc.means}${preset}${write ? ` Write ${write}.` : ''}`
  }
}
