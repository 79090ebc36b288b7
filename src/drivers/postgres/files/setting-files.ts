/**
 * What the server's setting files say, read without the server: for one that does not run, or cannot be started because of them.
 * The grammar is PostgreSQL's own (guc-file.l): `name [=] value`, comments, quoted values, and three kinds of include.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'

export interface SettingLine {
  readonly name: string
  readonly value: string
}

const NAME = String.raw`[A-Za-z_\x80-\xff][\w$\x80-\xff]*`
const QUOTED = String.raw`'(?:[^'\\]|\\.|'')*'`
const WORD = String.raw`[A-Za-z_\x80-\xff][\w$.:/\x80-\xff-]*`
const NUMBER = String.raw`[-+]?(?:0x[\da-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)[A-Za-z]*`
/** Never stricter than the server: what it can read is not to be taken for unreadable (repair-folder.ts). */
const LINE = new RegExp(
  String.raw`^\s*(${NAME}(?:\.${NAME})*)(?:\s*=\s*|\s+|(?='))(${QUOTED}|${WORD}|${NUMBER})\s*(?:#.*)?$`,
)

/**
 * Null: a comment or nothing. Undefined: a line that the server cannot read. `line` is read as latin1, because PostgreSQL takes
 * every byte above 127 for a letter.
 */
export function parseSettingLine(line: string): SettingLine | null | undefined {
  if (/^\s*(#.*)?$/.test(line)) return null
  const match = LINE.exec(line)
  if (!match?.[1] || match[2] === undefined) return undefined
  return { name: match[1].toLowerCase(), value: unquote(match[2]) }
}

function unquote(text: string): string {
  if (!text.startsWith("'")) return text
  return text.slice(1, -1).replace(/''|\\(.)/g, (_, escaped: string | undefined) => escaped ?? "'")
}

/** PostgreSQL refuses deeper ones, too. */
const DEEPEST = 10

/** What is in force at the next start as far as files say: includes followed, later ones win, postgresql.auto.conf last. */
export function settingsInFiles(dataDir: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  read(join(dataDir, 'postgresql.conf'), found, 0)
  read(join(dataDir, 'postgresql.auto.conf'), found, 0)
  return found
}

function read(path: string, found: Map<string, string>, depth: number): void {
  if (depth > DEEPEST || !existsSync(path)) return
  for (const text of readFileSync(path, 'latin1').split('\n')) {
    const line = parseSettingLine(text)
    if (!line) continue
    const target = isAbsolute(line.value) ? line.value : join(dirname(path), line.value)
    if (line.name === 'include' || line.name === 'include_if_exists') read(target, found, depth + 1)
    else if (line.name === 'include_dir') for (const file of filesIn(target)) read(file, found, depth + 1)
    else found.set(line.name, line.value)
  }
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.conf') && !name.startsWith('.'))
  return names.sort().map((name) => join(folder, name))
}

/** '' when there is no such file, or it cannot be read. */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // not written yet
  }
}
