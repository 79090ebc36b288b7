/** Writing under the node's state folder, with an error that names the file and what to do. */
import { UnderstudyError } from '../../errors.ts'
import { writeFileUnsynced } from '../../lib/files.ts'

/** Old or new content, never half. Without a sync: after a power loss no process is left for it to speak of. */
export function writeState(path: string, content: string, mode = 0o600): void {
  inStateFolder(path, () => writeFileUnsynced(path, content, mode))
}

export function inStateFolder<T>(path: string, write: () => T): T {
  try {
    return write()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UnderstudyError(
      'UND_STATE_NOT_WRITABLE',
      `cannot write ${path} (${reason}): check the folder's owner, its mode and the space left on its disk`,
      { cause },
    )
  }
}
