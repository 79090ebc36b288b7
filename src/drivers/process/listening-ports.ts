/** Where the processes of a group listen, by what the kernel says: for the operator whose health check is refused. Some milliseconds of work. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { processState } from '../../lib/proc.ts'

const LISTENING = '0A'

/** `127.0.0.1:8080`, `[::]:3000`; sorted, each once. Empty when nothing listens, or when that cannot be seen. */
export function listeningAddresses(group: number): readonly string[] {
  const pids = namesIn('/proc').filter((name) => /^\d+$/.test(name) && processState(Number(name))?.group === group)
  const inodes = new Set(pids.flatMap(socketsOf))
  const [first] = pids // all of a group are in one network namespace, but for those that left it on purpose
  if (first === undefined || inodes.size === 0) return []
  const found = ['tcp', 'tcp6'].flatMap((table) => linesOf(`/proc/${first}/net/${table}`))
  const ours = found.filter(({ state, inode }) => state === LISTENING && inodes.has(inode))
  return [...new Set(ours.map(({ local }) => addressText(local)))].sort()
}

function socketsOf(pid: string): string[] {
  return namesIn(`/proc/${pid}/fd`).flatMap(
    (fd) => /^socket:\[(\d+)\]$/.exec(linkAt(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
  )
}

interface Line {
  readonly local: string
  readonly state: string
  readonly inode: string
}

function linesOf(path: string): Line[] {
  try {
    const [, ...lines] = readFileSync(path, 'latin1').trim().split('\n')
    return lines.map((line) => {
      const words = line.trim().split(/\s+/)
      return { local: words[1] ?? '', state: words[3] ?? '', inode: words[9] ?? '' }
    })
  } catch {
    return [] // it ended
  }
}

/** `0100007F:1F90`: each four bytes of the address in the machine's order, which is little-endian wherever this runs. */
export function addressText(local: string): string {
  const [host = '', port = ''] = local.split(':')
  const bytes = (host.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).reverse())
  const number = Number.parseInt(port, 16)
  const isMapped = bytes.length === 16 && /^(00){10}ffff$/i.test(bytes.slice(0, 12).join(''))
  if (bytes.length === 4 || isMapped)
    return `${bytes
      .slice(-4)
      .map((byte) => Number.parseInt(byte, 16))
      .join('.')}:${number}`
  const groups = (bytes.join('').match(/.{4}/g) ?? []).map((group) => Number.parseInt(group, 16).toString(16)).join(':')
  return `[${new URL(`http://[${groups}]`).hostname.slice(1, -1)}]:${number}`
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // it ended, or is not ours to look into
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
