/**
 * What keeps a server from starting although its data is whole, and can be put right without a guess: rights, the file
 * with the version, folders that are empty by nature, and lines in setting files that the server cannot read. An
 * unreadable line is worse than a failed start: a running server ignores every change in a file with one, so neither
 * recruiting nor a new quorum would reach it.
 *
 * Each repair is idempotent, touches no data, and is reported in a sentence. What it cannot put right needs a clone
 * (follow.ts) or, where there is no source, an operator: data is never removed here.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Folder, versionIn } from './replica-folder.ts'
import { replaceFile } from './server-settings.ts'
import { parseSettingLine } from './setting-files.ts'

/** What a base backup leaves out (PostgreSQL's documentation, 'Making an Exclusive Low-Level Backup'), and is made anew at each start. */
const EMPTY_BY_NATURE = ['pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans']

const SETTING_FILES = ['postgresql.conf', 'postgresql.auto.conf']
const OUT = '# taken out by Understudy, because the server cannot read it: '

/** Returns what was repaired, as sentences. For a server that does not run. */
export async function repair(folder: Folder): Promise<string[]> {
  if (!existsSync(folder.data)) return []
  const done = await rightsOf(folder)
  done.push(...versionOf(folder))
  if (folder.content() !== 'data') return done
  done.push(...missingIn(folder))
  done.push(...repairSettings(folder))
  return done
}

/** PostgreSQL refuses a folder that others may write to, and that is not its own. */
async function rightsOf(folder: Folder): Promise<string[]> {
  const { mode, uid } = statSync(folder.data)
  const done: string[] = []
  if (folder.account && uid !== folder.account.uid) {
    await folder.ownAll(folder.data)
    done.push(`${folder.data} belonged to user ${uid}: it is given back to user ${folder.account.uid}`)
  }
  if ((mode & 0o700) !== 0o700 || (mode & 0o027) !== 0) {
    chmodSync(folder.data, 0o700)
    done.push(`${folder.data} had mode ${(mode & 0o777).toString(8)}: set to 700`)
  }
  return done
}

function versionOf(folder: Folder): string[] {
  const version = versionIn(join(folder.data, 'base', '1'))
  if (versionIn(folder.data) !== null || version === null) return []
  writeOwned(folder, join(folder.data, 'PG_VERSION'), `${version}\n`)
  return [`PG_VERSION could not be read: written anew (${version})`]
}

function missingIn(folder: Folder): string[] {
  const done: string[] = []
  for (const name of EMPTY_BY_NATURE.filter((one) => !existsSync(join(folder.data, one)))) {
    mkdirSync(join(folder.data, name), { mode: 0o700 })
    folder.own(join(folder.data, name))
    done.push(`${name} was missing: made anew`)
  }
  if (!existsSync(join(folder.data, 'postgresql.conf'))) {
    writeOwned(folder, join(folder.data, 'postgresql.conf'), '')
    done.push('postgresql.conf was missing: made anew, with the settings of the config alone')
  }
  return done
}

/** Takes lines that cannot be read out of the setting files. Also for a server that runs: cheap enough for each look. */
export function repairSettings(folder: Folder): string[] {
  return SETTING_FILES.flatMap((name) => {
    return takeOut(folder, name, (line) => parseSettingLine(line) === undefined)
  })
}

/** What the server itself complained of when it could not start: lines that can be read and mean nothing to it. */
export function repairByComplaints(folder: Folder, said: readonly string[]): string[] {
  return SETTING_FILES.flatMap((file) => {
    const numbers = new Set<number>()
    const names = new Set<string>()
    const libraries: string[] = []
    for (const line of said) {
      const at = /in file ".*\/([^/"]+)",? line (\d+)/.exec(line)
      if (at?.[1] === file) numbers.add(Number(at[2]))
      const value = INVALID.exec(line)
      if (value?.[1] && file === 'postgresql.auto.conf') names.add(value[1].toLowerCase())
      const library = /FATAL:.*could not access file "([^"]+)"/.exec(line)?.[1]
      if (library && file === 'postgresql.auto.conf') libraries.push(library)
    }
    return takeOut(folder, file, (line, number) => {
      const setting = parseSettingLine(line)
      const loads = setting?.name.endsWith('preload_libraries') && libraries.some((one) => setting.value.includes(one))
      return numbers.has(number) || (setting != null && names.has(setting.name)) || loads === true
    })
  })
}

const INVALID =
  /(?:invalid value for parameter|outside the valid range for parameter|unrecognized configuration parameter) "([\w.]+)"/

/** As bytes: what a file holds besides need not be UTF-8. */
function takeOut(folder: Folder, name: string, isBad: (line: string, number: number) => boolean): string[] {
  const path = join(folder.data, name)
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'latin1').split('\n')
  const bad = lines.filter((line, index) => !line.startsWith(OUT) && isBad(line, index + 1))
  if (bad.length === 0) return []
  const kept = lines.map((line) => (bad.includes(line) ? OUT + line.replace(/[^\x20-\x7e]/g, '?') : line))
  replaceFile(folder, path, Buffer.from(kept.join('\n'), 'latin1'))
  return bad.map((line) => `the server cannot read a line of ${name}, which was taken out: ${shown(line)}`)
}

function shown(line: string): string {
  return JSON.stringify(line.slice(0, 80))
}

function writeOwned(folder: Folder, path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 })
  folder.own(path)
}
