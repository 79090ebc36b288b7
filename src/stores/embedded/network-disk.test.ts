import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { refuseNetworkDisk, sharedFileSystem } from './network-disk.ts'

it('knows disks that several machines may share, with and without the sign of the number', () => {
  expect(sharedFileSystem(0x6969)).toBe('NFS')
  expect(sharedFileSystem(0xff534d42)).toBe('CIFS')
  expect(sharedFileSystem(0xff534d42 | 0)).toBe('CIFS')
  expect(sharedFileSystem(0xef53), 'ext4').toBe(undefined)
})

it('takes the disk of this machine', () => {
  expect(() => refuseNetworkDisk(join(tmpdir(), 'store.db'))).not.toThrow()
})
