/**
 * Which files of real tests a run executes, and in which order. Pure: what is on disk and in git comes in as arguments.
 *
 * The fast ones first, then those that exercise what changed, then the rest. A run with a limit on its time ends within the
 * rest; the rest therefore begins at another file each day, so that every file has its turn. Nothing is left out without
 * being named.
 */

/** What a file of real tests says of itself in its first comment: ` * Exercises: agent, drivers/process. Engines: none.` */
const DECLARATION = /^[ /*]*Exercises: (?<rooms>[^.]+)\. Engines: (?<engines>[^.]+)\.(?<fast> Fast\.)?/m

/** Engines that a test may need beyond Node.js. `postgresql` is any; the system's has pg_rewind, which the packaged one lacks. */
export const ENGINES = ['postgresql', 'postgresql of the system', 'network namespaces']

/** Rooms without which nothing real runs: a change in them counts for every file. */
const EVERYWHERE = ['core', 'lib', 'errors', 'config', 'agent']

/** @type {(text: string) => string[]} */
const list = (text) => text.split(',').map((one) => one.trim())

/**
 * `null` when the file says nothing of itself.
 *
 * @param {string} text
 * @returns {{ rooms: string[], engines: string[], isFast: boolean } | null}
 */
export function declarationOf(text) {
  const found = DECLARATION.exec(text)?.groups
  if (!found) return null
  const engines = found.engines.trim() === 'none' ? [] : list(found.engines)
  return { rooms: list(found.rooms), engines, isFast: found.fast !== undefined }
}

/**
 * `files`: `{ path, text }` of every file of real tests. `changed`: paths that changed since the last commit that landed;
 * `null` when that is not known, and then everything counts as changed. `day`: counts up by one each day.
 */
export function planOf({ files, changed, day }) {
  const known = files
    .map(({ path, text }) => ({ path, ...(declarationOf(text) ?? { rooms: [], isFast: false }) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
  const fast = known.filter(({ isFast }) => isFast)
  const others = known.filter(({ isFast }) => !isFast)
  const touched = others.filter((file) => changed === null || changed.some((path) => concerns(path, file)))
  const rest = others.filter((file) => !touched.includes(file))
  const from = rest.length === 0 ? 0 : day % rest.length
  const paths = (some) => some.map(({ path }) => path)
  return { fast: paths(fast), changed: paths(touched), rest: paths([...rest.slice(from), ...rest.slice(0, from)]) }
}

/** Whether a change of `path` may make a difference to what a file of real tests sees. */
function concerns(path, { path: own, rooms }) {
  if (path === own) return true
  if (path.startsWith('test/real/') || path.startsWith('test/support/')) return !path.endsWith('.test.ts')
  if (path === 'package-lock.json') return true
  if (!path.startsWith('src/') || path.endsWith('.test.ts')) return false
  const inside = path.slice('src/'.length)
  return [...EVERYWHERE, ...rooms].some((room) => inside === `${room}.ts` || inside.startsWith(`${room}/`))
}
