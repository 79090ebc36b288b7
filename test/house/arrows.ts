/**
 * Imports run one way: a room sees only rooms on the levels to its left, and no other room of its own level. `errors` is
 * a leaf that anyone may see; `index` and `testing` are what others see of us, and no file here imports them.
 */
import { type Import, importsOf, isTest, roomOf, type Source } from './source.ts'

export const LEVELS: readonly (readonly string[])[] = [
  ['errors'],
  ['lib'],
  ['core'],
  ['stores', 'drivers', 'balancer', 'api', 'whatif'],
  ['config', 'client'],
  ['agent', 'drills', 'local'],
  ['sim'],
  ['cli'],
  ['index', 'testing'],
]

/** Rooms that see less than their level would let them. */
const NARROWED: Readonly<Record<string, { readonly sees: (file: string) => boolean; readonly because: string }>> = {
  client: {
    sees: (file) => ['src/api/api-types.ts', 'src/errors.ts'].includes(file) || file.startsWith('src/client/'),
    because: 'the SDK knows the cluster through the API contract only',
  },
  drills: {
    sees: (file) => /^src\/(drills|client|lib)\/|^src\/(errors|api\/api-types)\.ts$/.test(file),
    because: 'a drill that sees more than a client could cheat',
  },
}

export function checkArrows(sources: readonly Source[]): string[] {
  return sources
    .filter((source) => !isTest(source))
    .flatMap((source) => importsOf(source).flatMap((one) => judge(source, one)))
}

function judge(source: Source, { file, line }: Import): string[] {
  if (file === undefined) return []
  const where = `${source.path}:${line}`
  const [from, to] = [roomOf(source.path), roomOf(file)]
  const [fromLevel, toLevel] = [levelOf(from), levelOf(to)]
  if (fromLevel < 0) return [`${where}: "${from}" is no room; rooms are listed in test/house/arrows.ts`]
  if (from === to) return []
  if (toLevel < 0) return [`${where}: "${to}" is no room`]
  const narrowed = NARROWED[from]
  if (narrowed && !narrowed.sees(file)) return [`${where}: ${from} may not import ${file}: ${narrowed.because}`]
  if (toLevel >= fromLevel)
    return [`${where}: ${from} may not import ${to}: imports run one way (test/house/arrows.ts)`]
  return []
}

function levelOf(room: string): number {
  return LEVELS.findIndex((level) => level.includes(room))
}
