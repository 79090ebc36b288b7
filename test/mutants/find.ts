/**
 * Does the simulator find a mutant? The built program is copied, one file in it is replaced by the mutant, and seeds are
 * run until one breaks a promise. The copy lies beside node_modules so that imports resolve.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import type { About } from '../../src/sim/run-seed.ts'
import type { Mutant } from './mutant-list.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** A mutant that hangs is ended, and counts as not found. Far above what all its seeds take: what is found depends on seeds alone. */
export const MOST_MS = 3_600_000

/** `applies`: worlds of both kinds, in which configs are applied. */
export type WorldsOf = About | 'applies'

export interface Found {
  readonly mutant: Mutant
  readonly about: WorldsOf
  /** Seeds until the first that broke a promise; null: not found. */
  readonly seeds: number | null
  readonly sentence: string
}

/** The mutant's file as JavaScript. Throws when the text that it changes is not there exactly once. */
export function mutated({ name, file, from, to }: Mutant): string {
  const source = readFileSync(join(ROOT, 'src', file), 'utf8')
  if (source.split(from).length !== 2) throw new Error(`mutant ${name}: its text is not there once in src/${file}`)
  const options = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
    rewriteRelativeImportExtensions: true,
    verbatimModuleSyntax: true,
  }
  return ts.transpileModule(
    source.replace(from, () => to),
    { compilerOptions: options, fileName: file },
  ).outputText
}

/** Relative to `src`; test/mutant-texts.test.ts looks whether it is there. */
export const RUNNER = 'sim/many-seeds.ts'

/** What is run: the mutated simulator on one core, until a promise is broken. */
const ENTRY = `import { runSim } from './${RUNNER.replace(/ts$/, 'js')}'
const [seeds, about] = process.argv.slice(2)
const how = about === 'applies' ? { applies: true } : { about }
console.log(JSON.stringify(await runSim({ seeds: Number(seeds), ...how, untilBroken: true })))
`

export async function findMutant(mutant: Mutant, mostSeeds: number, about: WorldsOf = 'processes'): Promise<Found> {
  const dir = join(ROOT, 'dist', 'mutants', mutant.name)
  mkdirSync(dir, { recursive: true })
  try {
    const skip = /(^|\/)(mutants|cli|local|client|balancer|drills)$|\.d\.ts$|\.tsbuildinfo$/
    for (const room of ['lib', 'core', 'stores', 'drivers', 'api', 'config', 'agent', 'sim', 'errors.js'])
      cpSync(join(ROOT, 'dist', room), join(dir, room), { recursive: true, filter: (path) => !skip.test(path) })
    writeFileSync(join(dir, mutant.file.replace(/\.ts$/, '.js')), mutated(mutant))
    const entry = join(dir, 'run.mjs')
    writeFileSync(entry, ENTRY)
    const said = await run([entry, String(mostSeeds), about])
    const sum = JSON.parse(said) as { broken: { seed: number; sentence: string }[] }
    const [first] = sum.broken
    return { mutant, about, seeds: first ? first.seed : null, sentence: first?.sentence ?? '' }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: MOST_MS })
    let [out, err] = ['', '']
    child.stdout.on('data', (data) => {
      out += data
    })
    child.stderr.on('data', (data) => {
      err += data
    })
    child.on('error', reject)
    child.on('exit', (_, signal) => {
      if (signal) return resolve(JSON.stringify({ broken: [] }))
      const line = out.trim().split('\n').at(-1) ?? ''
      // A mutant that breaks an assertion ends the run with a stack: that is found as well, at the first seed.
      if (line.startsWith('{')) resolve(line)
      else
        resolve(
          JSON.stringify({
            broken: [{ seed: 1, sentence: err.split('\n').find((one) => /^\w*Error\b/.test(one)) ?? err }],
          }),
        )
    })
  })
}
