/**
 * A config as it was written, each part right by itself, no default filled in, not yet checked against the other parts.
 * Parts that were wrong have been complained about and are left out; the names of all nodes and services are kept, so
 * that naming one whose options are wrong is not called a second mistake.
 */
import { isDeepStrictEqual } from 'node:util'
import type { NodeOptions, TimingOptions } from './cluster-options.ts'
import { type Findings, pathOf, show, under } from './complaint.ts'
import { KINDS, kindNamed } from './kinds/index.ts'
import type { Kind } from './kinds/kind.ts'
import type { Json } from './plain.ts'
import type { PresetName } from './presets.ts'
import { clusterSchema } from './schema/cluster-schema.ts'
import { read } from './schema/read-value.ts'
import type { ServiceOptions } from './service-options.ts'

export interface Draft {
  readonly name: string
  readonly preset: PresetName
  readonly timing: TimingOptions
  readonly apiPort: number
  /** Every name that is written under `nodes`, whether or not its options are right. */
  readonly nodeNames: readonly string[]
  readonly nodes: ReadonlyMap<string, NodeOptions>
  readonly serviceNames: readonly string[]
  readonly services: readonly DraftService[]
}

export interface DraftService {
  readonly name: string
  /** As complaints write it: `services.web`. */
  readonly path: string
  readonly kind: Kind
  readonly options: Partial<ServiceOptions>
}

const DEFAULT_API_PORT = 7400

export function toDraft(raw: Json | undefined, findings: Findings): Draft {
  const cluster = read(clusterSchema, raw, [], findings)
  const nodes = Object.entries(cluster.nodes ?? {})
  return {
    name: cluster.name ?? '',
    preset: cluster.preset ?? 'lan',
    timing: cluster.timing ?? {},
    apiPort: cluster.api?.port ?? DEFAULT_API_PORT,
    nodeNames: Object.keys(written(raw, 'nodes')),
    nodes: new Map(nodes),
    serviceNames: Object.keys(written(raw, 'services')),
    services: Object.entries(written(raw, 'services')).flatMap(([name, json]) => toService(name, json, findings)),
  }
}

/** Nothing, when it is not a declaration of a kind that we know. */
function toService(name: string, declared: Json, findings: Findings): DraftService[] {
  const path = pathOf('services', name)
  const functions = KINDS.map((kind) => `${kind.name}({ … })`).join(' or ')
  if (!isObject(declared) || !isObject(declared.options) || typeof declared.kind !== 'string') {
    const json = `in JSON { "kind": "${KINDS[0]?.name}", "options": { … } }`
    findings.complain(path, `is ${show(declared)}, not a service`, `${functions}; ${json}`)
    return []
  }
  const kind = kindNamed(declared.kind)
  if (kind === undefined) {
    findings.complain(`${path}.kind`, `is ${show(declared.kind)}, and there is no such kind`, functions)
    return []
  }
  const options = read(kind.schema, declared.options, ['services', name], findings, 1) as Partial<ServiceOptions>
  complainDeclaration(path, kind, declared, options, findings)
  return [{ name, path, kind, options }]
}

/** Traits follow from kind and options; written by hand they may only repeat that. */
function complainDeclaration(
  path: string,
  kind: Kind,
  declared: { readonly [key: string]: Json },
  options: Partial<ServiceOptions>,
  findings: Findings,
): void {
  for (const key of Object.keys(declared).filter((key) => !['kind', 'traits', 'options'].includes(key))) {
    findings.complain(under(path, key), 'stands beside the options', 'it inside of options')
  }
  const { traits } = declared
  const redundancyIsRight = isObject(declared.options) && declared.options.redundancy === options.redundancy
  if (traits !== undefined && redundancyIsRight && !isDeepStrictEqual(traits, kind.traits(options))) {
    findings.complain(`${path}.traits`, `is not what ${kind.name}() declares`, 'nothing: it follows from the options')
  }
}

function written(raw: Json | undefined, key: 'nodes' | 'services'): { readonly [name: string]: Json } {
  const named = isObject(raw) ? raw[key] : undefined
  return isObject(named) ? named : {}
}

function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
