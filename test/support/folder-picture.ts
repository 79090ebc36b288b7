/** A folder as it is: each path below it with its type, rights and owner, and what is in it. Two pictures are compared. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'

export type Picture = Readonly<Record<string, string>>

export interface PictureOptions {
  /** Changes by itself while a cluster runs: of these paths only type, rights and owner count, and they may come and go. */
  readonly isBusy?: (path: string) => boolean
  /** Whether the time of the last change counts, too: only where nothing runs. */
  readonly withTimes?: boolean
}

export function takePicture(folder: string, { isBusy = () => false, withTimes = false }: PictureOptions = {}): Picture {
  const picture: Record<string, string> = {}
  const see = (path: string, name: string) => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (!stat) {
      picture[name] = 'absent'
      return
    }
    const kind = kindOf(stat)
    const busy = isBusy(name)
    const content = busy ? '' : kind === 'file' ? hashOf(path) : kind === 'link' ? readlinkSync(path) : ''
    const time = withTimes ? `${stat.mtimeMs}` : ''
    picture[name] = `${kind} ${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${content} ${time}`.trim()
    if (kind === 'folder' && !busy) for (const one of namesIn(path)) see(join(path, one), `${name}/${one}`)
  }
  see(folder, '.')
  return Object.fromEntries(Object.entries(picture).filter(([name]) => !isBusy(name) || picture[name] !== 'absent'))
}

/** What is another: `path: before → after`. A busy path that is only in one of them came or went by itself. */
export function changesBetween(before: Picture, after: Picture, isBusy: (path: string) => boolean = () => false) {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...paths].flatMap((path) => {
    const [was = 'absent', is = 'absent'] = [before[path], after[path]]
    if (was === is || (isBusy(path) && (was === 'absent' || is === 'absent'))) return []
    return [`${path}: ${was} → ${is}`]
  })
}

/** Only files are opened: a process that opens a named pipe waits for its other end. */
function kindOf(stat: Stats): 'folder' | 'link' | 'file' | 'other' {
  if (stat.isDirectory()) return 'folder'
  if (stat.isSymbolicLink()) return 'link'
  return stat.isFile() ? 'file' : 'other'
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort()
  } catch {
    return [] // it went meanwhile, and its parent says so
  }
}

function hashOf(path: string): string {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12)
  } catch {
    return 'gone'
  }
}
