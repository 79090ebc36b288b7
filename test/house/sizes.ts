/**
 * The ratchet. The aims are what we want; house.ratchet.json holds what we have where that is worse. A ceiling may only
 * fall: something longer than it fails, and so does a ceiling that is higher than it needs to be.
 */
import ts from 'typescript'
import { isTest, lineOf, parse, roomOf, type Source, walk } from './source.ts'

export type Measure = 'functionLines' | 'fileLines'
export type Ceilings = Readonly<Record<'core' | 'elsewhere', Readonly<Record<Measure, number>>>>

export const AIMS: Ceilings = {
  core: { functionLines: 40, fileLines: 200 },
  elsewhere: { functionLines: 60, fileLines: 400 },
}

interface Sized {
  readonly area: keyof Ceilings
  readonly measure: Measure
  readonly lines: number
  /** `src/core/decide.ts:12 decide`. */
  readonly what: string
}

export function checkSizes(sources: readonly Source[], ceilings: Ceilings): string[] {
  const sizes = sources.filter((source) => !isTest(source)).flatMap(sizesOf)
  const lowest = lowestCeilings(sources)
  const tooLong = sizes
    .filter(({ area, measure, lines }) => lines > ceilings[area][measure])
    .map(({ area, measure, lines, what }) => `${what} has ${lines} lines; the ceiling is ${ceilings[area][measure]}`)
  const tooHigh = pairs()
    .filter(([area, measure]) => ceilings[area][measure] > lowest[area][measure])
    .map(
      ([area, measure]) =>
        `house.ratchet.json: ${area}.${measure} can fall to ${lowest[area][measure]}: run npm run docs`,
    )
  return [...tooLong, ...tooHigh]
}

/** What house.ratchet.json would say if it were written today: the aim, or the worst where that is worse. */
export function lowestCeilings(sources: readonly Source[]): Ceilings {
  const sizes = sources.filter((source) => !isTest(source)).flatMap(sizesOf)
  const lowest = structuredClone(AIMS) as Record<keyof Ceilings, Record<Measure, number>>
  for (const { area, measure, lines } of sizes) lowest[area][measure] = Math.max(lowest[area][measure], lines)
  return lowest
}

/** A ratchet turns one way. */
export function lowered(now: Ceilings, lowest: Ceilings): Ceilings {
  const result = structuredClone(now) as Record<keyof Ceilings, Record<Measure, number>>
  for (const [area, measure] of pairs()) result[area][measure] = Math.min(now[area][measure], lowest[area][measure])
  return result
}

function sizesOf(source: Source): Sized[] {
  const area = roomOf(source.path) === 'core' ? 'core' : 'elsewhere'
  const file = parse(source)
  const fileLines = source.text.trimEnd().split('\n').length
  const sizes: Sized[] = [{ area, measure: 'fileLines', lines: fileLines, what: source.path }]
  walk(file, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    const first = lineOf(source, node)
    const last = file.getLineAndCharacterOfPosition(node.getEnd()).line + 1
    const name =
      node.name?.getText() ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : 'a function')
    sizes.push({ area, measure: 'functionLines', lines: last - first + 1, what: `${source.path}:${first} ${name}` })
  })
  return sizes
}

function pairs(): [keyof Ceilings, Measure][] {
  return (['core', 'elsewhere'] as const).flatMap((area) => [
    [area, 'functionLines'] as [keyof Ceilings, Measure],
    [area, 'fileLines'] as [keyof Ceilings, Measure],
  ])
}
