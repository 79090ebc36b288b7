import { expect, test } from 'vitest'
import { accountFor } from './account.ts'

const passwd = 'root:x:0:0::/root:/bin/sh\npostgres:x:101:104::/var/lib:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n'

test('root picks postgres, else nobody, else what it was told; never root', () => {
  expect(accountFor(null, 0, passwd)).toEqual({ uid: 101, gid: 104 })
  expect(accountFor(null, 0, passwd.replace('postgres', 'pg'))).toEqual({ uid: 65534, gid: 65534 })
  expect(accountFor('nobody', 0, passwd)).toEqual({ uid: 65534, gid: 65534 })
  expect(() => accountFor('root', 0, passwd)).toThrow(/refuses to run as root/)
})

test('an ordinary user runs it as itself', () => {
  expect(accountFor(null, 1000, passwd)).toBeNull()
  expect(accountFor('postgres', 101, passwd)).toBeNull()
  expect(() => accountFor('postgres', 1000, passwd)).toThrow(/only an agent that runs as root/)
})
