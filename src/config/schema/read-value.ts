/**
 * Holds a value against a schema and speaks of every fault in our own words. What is wrong is left out of the result,
 * so that what is right can still be checked against the other parts of the config: a typo in one option hides no other
 * mistake.
 */
import { z } from 'zod'
import { nearest } from '../../lib/nearest.ts'
import { type Findings, pathOf, show } from '../complaint.ts'
import type { Json } from '../plain.ts'
import { type Words, words } from './vocabulary.ts'

/**
 * The parts of `value` that are right. `at` is where it stands in the config. `whole`: how many names deep a part is that
 * is left out as one; half a health check is none.
 */
export function read<T extends z.ZodObject>(
  schema: T,
  value: Json | undefined,
  at: readonly PropertyKey[],
  findings: Findings,
  whole = Number.POSITIVE_INFINITY,
): Partial<z.infer<T>> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  let rest: Json | undefined = value
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        complainUnknown(schema, issue.path, key, at, findings)
        rest = without(rest, [...issue.path, key].slice(0, whole))
      }
    } else {
      complainWrong(schema, issue, value, at, findings)
      rest = without(rest, issue.path.slice(0, whole))
    }
  }
  // What is left was held against the schema above; only required options may be missing from it now.
  return (rest ?? {}) as Partial<z.infer<T>>
}

function complainUnknown(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  key: string,
  at: readonly PropertyKey[],
  findings: Findings,
): void {
  const node = schemaAt(schema, path)
  const known = node instanceof z.ZodObject ? Object.keys(node.shape) : []
  const meant = nearest(key, known)
  const write = meant === undefined ? `one of: ${known.join(', ')}` : `${meant}`
  const problem = `unknown option${meant === undefined ? '' : `; did you mean "${meant}"?`}`
  findings.complain(pathOf(...at, ...path, key), problem, write)
}

function complainWrong(
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  value: Json | undefined,
  at: readonly PropertyKey[],
  findings: Findings,
): void {
  const path = pathOf(...at, ...issue.path) || '(the whole config)'
  const wrongKey = issue.code === 'invalid_key'
  const key = issue.path.at(-1)
  const node = wrongKey ? keySchemaAt(schema, issue.path) : schemaAt(schema, issue.path)
  const said: Words = (node && words.get(node)) ?? { what: 'something that can stand here', write: 'something else' }
  const found = wrongKey ? key : valueAt(value, issue.path)
  if (found === undefined) findings.complain(path, 'is missing', said.write)
  else if (said.secret) findings.complain(path, `is not ${said.what}`, said.write)
  else findings.complain(path, `is ${show(found)}, not ${said.what}`, said.write)
}

/** The schema that stands at a path, without its wrapping of "may be left out". */
function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  let node: z.core.$ZodType | undefined = schema
  for (const segment of [...path, undefined]) {
    while (node instanceof z.ZodExactOptional || node instanceof z.ZodNonOptional) node = node.unwrap()
    if (segment === undefined || node instanceof z.ZodUnion) break // of its alternatives it is the whole that is explained
    if (node instanceof z.ZodObject) node = node.shape[String(segment)]
    else if (node instanceof z.ZodRecord) node = node.valueType
    else if (node instanceof z.ZodArray) node = node.element
    else return undefined
  }
  return node as z.ZodType | undefined
}

function keySchemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  const parent = schemaAt(schema, path.slice(0, -1))
  return parent instanceof z.ZodRecord ? (parent.keyType as z.ZodType) : undefined
}

function valueAt(value: Json | undefined, path: readonly PropertyKey[]): unknown {
  let here: unknown = value
  for (const segment of path) here = (here as Readonly<Record<PropertyKey, unknown>> | undefined)?.[segment]
  return here
}

/** A copy without what stands at `path`. A list with a wrong item is left out as one. A path to nothing changes nothing. */
function without(value: Json | undefined, path: readonly PropertyKey[]): Json | undefined {
  const [segment, ...deeper] = path
  if (segment === undefined || Array.isArray(value)) return undefined
  if (typeof value !== 'object' || value === null) return value
  const key = String(segment)
  const { [key]: inner, ...rest } = value as Readonly<Record<string, Json>>
  const kept = without(inner, deeper)
  return kept === undefined ? rest : { ...rest, [key]: kept }
}
