/**
 * The file belongs to one machine. Two machines that share it over a network would each take the other's leases for those
 * of an earlier boot, that is, for ended: two leaders. Locks are not to be trusted there either (sqlite.org/faq.html#q5).
 */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { UnderstudyError } from '../../errors.ts'

/** File systems that several machines can mount at the same time, by the kernel's number for each: statfs(2). */
const SHARED: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x0bd00bd0, 'Lustre'],
])

export function sharedFileSystem(type: number): string | undefined {
  return SHARED.get(type >>> 0) // the kernel's number may come with a sign
}

/** Throws UND_REFUSED when the folder of `path` is on a disk that other machines may use too. */
export function refuseNetworkDisk(path: string): void {
  const name = sharedFileSystem(statfsSync(dirname(path)).type)
  if (name === undefined) return
  const message =
    `the store ${path} would be on a network file system (${name}), where it is not safe: other machines could take ` +
    'its leases for ended. Choose a place on a disk of this machine'
  throw new UnderstudyError('UND_REFUSED', message)
}
