/** Whom an instance runs as. Names are looked up as the system does it (`getent`), directories such as LDAP included. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { UnderstudyError } from '../../errors.ts'

export interface RunAs {
  readonly uid: number
  readonly gid: number
  /** What a login would set. */
  readonly env: Readonly<Record<string, string>>
}

export async function lookUpUser(user: string | number): Promise<RunAs> {
  if (process.getuid?.() !== 0) {
    throw new UnderstudyError('UND_CONFIG_INVALID', `running as user "${user}" needs an agent that runs as root`)
  }
  const entry = await passwordEntry(String(user))
  // name:password:uid:gid:comment:home:shell
  const [name, , uid, gid, , home] = entry.split(':')
  if (!name || !uid || !gid) throw new UnderstudyError('UND_CONFIG_INVALID', `this machine has no user "${user}"`)
  return { uid: Number(uid), gid: Number(gid), env: { USER: name, LOGNAME: name, HOME: home || '/' } }
}

async function passwordEntry(key: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('getent', ['passwd', '--', key], { timeout: 5_000 })
    return stdout.trim()
  } catch (cause) {
    throw new UnderstudyError('UND_CONFIG_INVALID', `this machine has no user "${key}"`, { cause })
  }
}
