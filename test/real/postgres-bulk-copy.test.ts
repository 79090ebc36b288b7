/**
 * A whole server is copied while the event loop of the one that asked for it stays free. Judged as a ratio of two copies of the same
 * data, so that it does not depend on how fast the machine is.
 *
 * Exercises: drivers/postgres, lib. Engines: postgresql.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { afterEach, expect, test } from 'vitest'
import { takeWholeCopy, type WholeCopyRequest } from '../../src/drivers/postgres/copy/bulk-work.ts'
import { receiveWholeCopy, type WholeCopyJob } from '../../src/drivers/postgres/copy/server-copy.ts'
import { placeTablespaces } from '../../src/drivers/postgres/copy/tablespaces.ts'
import { replicationPurpose } from '../../src/drivers/postgres/replica-setup.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { secretFor, Trio } from './postgres-trio.ts'

let trio: Trio | undefined
let folder = ''

afterEach(async () => {
  await trio?.end()
  trio = undefined
  if (folder) rmSync(folder, { recursive: true, force: true })
})

interface Cost {
  readonly bytes: number
  /** How long the event loop here was at work, in ms, and its longest delay. */
  readonly busyMs: number
  readonly longestMs: number
}

async function costOf(copy: () => Promise<{ readonly bytes: number }>): Promise<Cost> {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  const before = performance.eventLoopUtilization()
  delay.enable()
  const { bytes } = await copy()
  delay.disable()
  const { active } = performance.eventLoopUtilization(before)
  return { bytes, busyMs: active, longestMs: delay.max / 1e6 }
}

test.each([
  ['a clone', false],
  ['a backup, with its checksums', true],
])('the event loop is free during %s of a hundred megabytes and more', async (what, manifest) => {
  trio = new Trio({ nodes: ['a'] })
  await trio.begin()
  await trio.rows('a', 'create table big as select n, repeat(md5(n::text), 30) as t from generate_series(1, 120000) n')
  await trio.rows('a', 'checkpoint')
  folder = mkdtempSync(join(tmpdir(), 'understudy-bulk-'))
  const job = (name: string): WholeCopyJob => {
    mkdirSync(join(folder, name))
    return {
      from: trio?.address('a') ?? { node: '', host: '', port: 0 },
      password: secretFor(replicationPurpose('db')),
      connectMs: 30_000,
      silentMs: 60_000,
      version,
      target: join(folder, name),
      manifest,
    }
  }
  const [row] = await trio.rows('a', "select current_setting('server_version_num')::int / 10000 as v")
  const version = Number(row?.v)
  const progress = () => {}
  const place: WholeCopyRequest['place'] = (list) => placeTablespaces(list, true)
  const signal = new AbortController().signal
  const thread = await costOf(() => takeWholeCopy({ ...job('thread'), signal, progress, place }))
  const here = { clock: systemClock, progress, place: async (list: Parameters<typeof place>[0]) => place(list) }
  const loop = await costOf(() => receiveWholeCopy({ ...job('loop'), ...here }))
  console.log(
    `${what} of ${Math.round(thread.bytes / 1e6)} MB: the event loop was busy for ${Math.round(thread.busyMs)} ms ` +
      `(longest delay ${Math.round(thread.longestMs)} ms) with a thread, ` +
      `${Math.round(loop.busyMs)} ms (${Math.round(loop.longestMs)} ms) without`,
  )
  expect(thread.bytes).toBeGreaterThan(100e6)
  expect(thread.busyMs).toBeLessThan(loop.busyMs / 3)
})
