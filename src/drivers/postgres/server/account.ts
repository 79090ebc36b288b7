/** Whom the server runs as. PostgreSQL refuses to run as root; an ordinary user can only run it as itself. */
import { readFileSync } from 'node:fs'
import { UnderstudyError } from '../../../errors.ts'

export interface Account {
  readonly uid: number
  readonly gid: number
}

const CANDIDATES = ['postgres', 'nobody']

/** Null: as the user that runs the agent. */
export function accountFor(
  name: string | null,
  agentUid: number | undefined = process.getuid?.(),
  passwd: string = readFileSync('/etc/passwd', 'utf8'),
): Account | null {
  const accounts = new Map(passwd.split('\n').map((line) => [line.split(':')[0] ?? '', line.split(':')] as const))
  const find = (wanted: string): Account | undefined => {
    const fields = accounts.get(wanted)
    return fields && { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  if (agentUid !== 0) {
    if (name !== null && find(name)?.uid !== agentUid) {
      throw new UnderstudyError('UND_CONFIG_INVALID', `only an agent that runs as root can run PostgreSQL as ${name}`)
    }
    return null
  }
  const account = name === null ? CANDIDATES.map(find).find((found) => found) : find(name)
  if (!account || account.uid === 0) {
    throw new UnderstudyError(
      'UND_CONFIG_INVALID',
      `PostgreSQL refuses to run as root, and there is no user ${name ?? CANDIDATES.join(' or ')}: set the option user`,
    )
  }
  return account
}
