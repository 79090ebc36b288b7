import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { asAccount } from './as-account.ts'

/** A user of this machine that is in more groups than its own. */
function accountInTwoGroups(): { readonly name: string; readonly uid: number; readonly gid: number } | undefined {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const listed = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(':')[3]?.split(',') ?? [])
  const [name = '', , uid, gid] =
    users.find(([user = '']) => user !== '' && user !== 'root' && listed.includes(user)) ?? []
  return name === '' ? undefined : { name, uid: Number(uid), gid: Number(gid) }
}

describe('a program that runs as another user', () => {
  const user = accountInTwoGroups()
  it.skipIf(process.getuid?.() !== 0 || user === undefined)('has all groups of that user, as after a login', () => {
    const { file, args, ids } = asAccount(user ?? null, 'id', ['-G'])
    const ran = execFileSync(file, [...args], { encoding: 'utf8', ...ids })
    expect(ran).toBe(execFileSync('id', ['-G', user?.name ?? ''], { encoding: 'utf8' }))
    expect(ran.trim().split(' ').length).toBeGreaterThan(1)
  })

  it('is run by setpriv where that is there, else with its user and group alone', () => {
    const account = { uid: 5, gid: 6 }
    const groups = ['--reuid', '5', '--regid', '6', '--init-groups', '--', 'x', 'y']
    expect(asAccount(account, 'x', ['y'], '/bin/setpriv')).toEqual({ file: '/bin/setpriv', args: groups, ids: {} })
    expect(asAccount(null, 'x', ['y'])).toEqual({ file: 'x', args: ['y'], ids: {} })
  })
})
