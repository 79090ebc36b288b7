/**
 * From a file to what it exports. TypeScript, JavaScript and JSON are read alike; nothing is written to disk, and no copy
 * is kept in memory: a file that was changed is read anew.
 *
 * `import … from 'understudy'` in a config gets the functions of this very program, whether or not the package is
 * installed beside the file and whether this program runs from its sources or from dist/.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import { createJiti } from 'jiti'
import * as errors from '../errors.ts'
import { UnderstudyError } from '../errors.ts'
import { InvalidConfig } from './complaint.ts'
import * as define from './define.ts'
import { explainLoadError, shortName } from './load-error.ts'

/** Looked for in this order. */
export const CONFIG_FILES = [
  'understudy.config.ts',
  'understudy.config.mjs',
  'understudy.config.js',
  'understudy.config.json',
] as const

/** What 'understudy' is to a config file: the values that src/index.ts exports, which a test compares. */
export const PUBLIC_VALUES: Readonly<Record<string, unknown>> = { ...define, ...errors }

export interface LoadedConfig {
  /** Absolute. */
  readonly file: string
  /** What the file exports, as it is: `compileCluster` tells whether it is right. */
  readonly raw: unknown
}

/**
 * Reads a config file. `path` is a file, or a folder that holds one under a usual name; default: the current folder.
 * Rejects with UND_CONFIG_NOT_FOUND, or with UND_CONFIG_INVALID and one complaint when the file cannot be read, parsed or
 * run, or exports nothing that could be a config.
 */
export async function loadConfig(path = '.'): Promise<LoadedConfig> {
  const file = findConfig(path)
  const { raw } = extname(file) === '.json' ? readJsonConfig(file) : await runConfig(file)
  if (raw === undefined) refuse(file, 'exports nothing as default')
  if (raw instanceof Promise) {
    raw.catch(() => {}) // it is not awaited, and an unhandled rejection would end the process
    refuse(file, 'exports a promise, not the cluster that it promises')
  }
  if (typeof raw === 'function') refuse(file, 'exports a function, not a cluster')
  return { file, raw }
}

function findConfig(path: string): string {
  const asked = resolve(path)
  if (!existsSync(asked)) throw new UnderstudyError('UND_CONFIG_NOT_FOUND', `there is no file ${asked}`)
  if (!statSync(asked).isDirectory()) return asked
  const name = CONFIG_FILES.find((candidate) => existsSync(join(asked, candidate)))
  if (name !== undefined) return join(asked, name)
  const message = `there is no ${CONFIG_FILES[0]} (or .mjs, .js, .json) in ${asked}; name a file, or write one there`
  throw new UnderstudyError('UND_CONFIG_NOT_FOUND', message)
}

/** Wrapped, because what a file exports may be a promise, and an async function would wait for it unasked. */
async function runConfig(file: string): Promise<{ raw: unknown }> {
  // The cache on disk is off: it would lie in a folder that other users of the machine can write to.
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    moduleCache: false,
    interopDefault: false,
    virtualModules: { understudy: PUBLIC_VALUES },
  })
  try {
    const exported = await jiti.import<{ readonly default?: unknown; readonly __esModule?: boolean }>(file)
    // `module.exports = …` has no default export: it is what it exports. A file that exports nothing has no keys at all.
    const byDefault =
      'default' in Object(exported) || exported?.__esModule || Object.keys(Object(exported)).length === 0
    return { raw: byDefault ? exported?.default : exported }
  } catch (cause) {
    throw new InvalidConfig([explainLoadError(file, cause)], { file, cause })
  }
}

function readJsonConfig(file: string): { raw: unknown } {
  try {
    const raw: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return { raw }
    const { $schema: _, ...cluster } = raw as Readonly<Record<string, unknown>> // for editors; it says nothing to us
    return { raw: cluster }
  } catch (cause) {
    throw new InvalidConfig([explainLoadError(file, cause)], { file, cause })
  }
}

function refuse(file: string, problem: string): never {
  const write = "export default defineCluster({ name: 'shop', nodes: { … }, services: { … } })"
  throw new InvalidConfig([{ path: shortName(file), problem, write }], { file })
}
