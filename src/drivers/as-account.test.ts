import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { readSources } from '../../test/house/source.ts'
import { systemClock } from '../lib/clock.ts'
import { asAccount, execAs } from './as-account.ts'
import { runRewind } from './postgres/copy/rewind.ts'
import type { Replica } from './postgres/replica.ts'
import { execCheck } from './process/health-check.ts'

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

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('a program that runs as another user', () => {
  const user = accountInTwoGroups()
  const groups = () => execFileSync('id', ['-G', user?.name ?? ''], { encoding: 'utf8' })

  describe.skipIf(process.getuid?.() !== 0 || user === undefined)(
    'has all groups of that user, as after a login',
    () => {
      /** A program that writes its groups into a folder that it may write to, the word `at` of its command line. */
      const openProgram = (at: number) => {
        const folder = mkdtempSync(join(tmpdir(), 'understudy-account-'))
        folders.push(folder)
        chmodSync(folder, 0o777)
        const program = join(folder, 'program')
        writeFileSync(program, `#!/bin/sh\nid -G > "$${at}/groups"\n`)
        chmodSync(program, 0o755)
        return { folder, program, said: () => readFileSync(join(folder, 'groups'), 'utf8') }
      }

      it('when it is run to its end', async () => {
        expect(groups().trim().split(' ').length).toBeGreaterThan(1)
        expect((await execAs(user ?? null, 'id', ['-G'], {})).stdout).toBe(groups())
      })

      it('when it is a health check', async () => {
        const { folder, program, said } = openProgram(1)
        const runAs = user && { ...user, env: {} }
        const check = { cwd: folder, env: () => ({ PATH: process.env.PATH }), runAs: runAs ?? null, timeoutMs: 20_000 }
        expect(await execCheck({ ...check, run: [program, folder] })()).toEqual({ ok: true, note: '' })
        expect(said()).toBe(groups())
      })

      it('when it is pg_rewind', async () => {
        const { folder, program, said } = openProgram(2)
        const parts = { binaries: { env: {} }, folder: { data: folder, account: user }, clock: systemClock, tell() {} }
        const replica = { parts: { ...parts, replicationPassword: 'x' } } as unknown as Replica
        const signal = new AbortController().signal
        expect(await runRewind(replica, program, { node: 'b', host: '127.0.0.1', port: 1 }, signal)).toBe(true)
        expect(said()).toBe(groups())
      })
    },
  )

  it('is run by setpriv where that is there, else with its user and group alone', () => {
    const account = { uid: 5, gid: 6 }
    const words = ['--reuid', '5', '--regid', '6', '--init-groups', '--', 'x', 'y']
    expect(asAccount(account, 'x', ['y'], '/bin/setpriv')).toEqual({ file: '/bin/setpriv', args: words, ids: {} })
    expect(asAccount(null, 'x', ['y'])).toEqual({ file: 'x', args: ['y'], ids: {} })
  })

  it('is started in this one place', () => {
    const sources = readSources(join(import.meta.dirname, '../..'), 'src').filter(({ text }) =>
      text.includes("from 'node:child_process'"),
    )
    expect(sources.length).toBeGreaterThan(5)
    const givesUser =
      /\.\.\.\(?[\w.#?]*(account|ids|runAs)\b|\b(spawn|spawnSync|execFile|run)\([^;]*\b(uid|gid)(:|,| })/i
    const found = sources.filter(({ path, text }) => !path.includes('.test.') && givesUser.test(text))
    expect(found.map(({ path }) => path)).toEqual(['src/drivers/as-account.ts'])
  })
})
