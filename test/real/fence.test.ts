/**
 * The fence as a process of its own: it kills on time whatever becomes of the agent, and never a stranger.
 *
 * Exercises: agent. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectFence, type Fence, startFence } from '../../src/agent/fence-client.ts'
import type { Fenced } from '../../src/agent/fence-protocol.ts'
import { assert } from '../../src/lib/assert.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import { groupIsAlive, identify, isAlive, type ProcessIdentity, signal, signalGroup } from '../../src/lib/proc.ts'
import { PROGRAMS, until, worker } from './process-place.ts'

const FENCE_PROGRAM = join(import.meta.dirname, '../../dist/agent/fence-process.js')
const now = () => systemClock.mono()
/** A deadline that is not reached between two steps of a test, also when the machine is busy. */
const FAR_MS = 2_000

let dir: string
let fence: Fence
/** Everything that a test started, each in a group of its own. */
let started: ProcessIdentity[]

const paths = () => ({ socketPath: join(dir, 'f.sock'), savedPath: join(dir, 'f.json'), logPath: join(dir, 'f.log') })
const fenceIdentity = () => (readJson(paths().savedPath) as { fence?: ProcessIdentity } | undefined)?.fence
const fenceLog = () => readFileSync(paths().logPath, 'utf8')

beforeEach(async () => {
  assert(existsSync(FENCE_PROGRAM), 'the tests of the fence need dist/: npm run build')
  dir = mkdtempSync(join(tmpdir(), 'und-fence-'))
  started = []
  startFence(paths(), FENCE_PROGRAM)
  fence = connectFence(paths().socketPath)
  await fenceReady()
})

afterEach(async () => {
  fence.close()
  const last = fenceIdentity()
  for (const identity of [...started, ...(last ? [last] : [])]) {
    signal(identity, 'SIGKILL')
    if (groupIsAlive(identity.pid)) signalGroup(identity.pid, 'SIGKILL')
  }
  rmSync(dir, { recursive: true, force: true })
})

async function fenceReady(): Promise<void> {
  await until('the fence answers and has said who it is', () => fence.alive() && fenceIdentity() !== undefined)
}

function run(
  words: readonly string[],
  stdio: 'ignore' | 'pipe' = 'ignore',
): { child: ChildProcess; identity: ProcessIdentity } {
  const [file = '', ...args] = words
  const child = spawn(file, args, { detached: true, stdio: ['ignore', stdio, 'ignore'] })
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  assert(identity, 'it runs')
  started.push(identity)
  return { child, identity }
}

/** The killing of `identity`, as the fence tells it. */
function told(identity: ProcessIdentity): Promise<Fenced> {
  return new Promise((resolve) => fence.onFenced((recruited) => recruited.pid === identity.pid && resolve(recruited)))
}

/** When a child ended, on the monotonic clock, as its parent saw it. */
function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once('exit', () => resolve(now())))
}

/** As an agent does: what was not acknowledged in time, because the machine was busy, is said again. */
async function acknowledged<T>(say: () => Promise<T>): Promise<T> {
  const deadline = now() + 20_000
  for (;;) {
    try {
      return await say()
    } catch (error) {
      if (now() > deadline || (error as { code?: string }).code !== 'UND_TIMED_OUT') throw error
    }
  }
}

function arm(identity: ProcessIdentity, killAtMono: number): Promise<void> {
  return acknowledged(() => fence.arm('svc', identity, killAtMono))
}

const armed = () => acknowledged(() => fence.armed())

describe('arming', () => {
  it('kills at the deadline, with everything in the group, and tells', async () => {
    const file = join(dir, 'children')
    const { child, identity } = run(worker(`child=${file}`))
    await until('the grandchild runs', () => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'))
    const ended = endOf(child)
    const recruited = told(identity)
    const killAtMono = now() + 300
    await arm(identity, killAtMono)
    expect(await ended).toBeGreaterThanOrEqual(killAtMono)
    expect(await recruited).toMatchObject({ service: 'svc', pid: identity.pid, killAtMono, outcome: 'killed' })
    await until('the group is gone', () => !groupIsAlive(identity.pid))
    expect(fenceLog()).toContain('"event":"fenced"')
    expect(await armed()).toEqual([])
  })

  it('again extends, and may shorten', async () => {
    const { child, identity } = run(worker())
    const ended = endOf(child)
    await arm(identity, now() + FAR_MS)
    const extended = now() + 2 * FAR_MS
    await arm(identity, extended)
    expect(await armed()).toHaveLength(1)
    expect(await ended).toBeGreaterThanOrEqual(extended)

    const other = run(worker())
    const otherEnded = endOf(other.child)
    await arm(other.identity, now() + 60_000)
    await arm(other.identity, now() + 50)
    expect(await otherEnded).toBeLessThan(now() + 10_000)
  })

  it('a deadline that has passed kills at once', async () => {
    const { child, identity } = run(worker())
    const ended = endOf(child)
    await arm(identity, now() - 1_000)
    await ended
  })

  it('disarmed, it lets live', async () => {
    const { identity } = run(worker())
    const killAtMono = now() + FAR_MS
    await arm(identity, killAtMono)
    await acknowledged(() => fence.disarm('svc', identity))
    const later = run(worker())
    const ended = endOf(later.child)
    await arm(later.identity, killAtMono + 100)
    await ended
    expect(isAlive(identity)).toBe(true)
  })

  it('never a stranger: a pid with another start time is left alone', async () => {
    const { identity } = run(worker())
    const recruited = told(identity)
    await arm({ pid: identity.pid, startTime: identity.startTime - 1 }, now() + 50)
    expect((await recruited).outcome).toBe('another')
    expect(isAlive(identity)).toBe(true)
  })

  it('a frozen process dies too', async () => {
    const { child, identity } = run(worker())
    process.kill(identity.pid, 'SIGSTOP')
    const ended = endOf(child)
    await arm(identity, now() + 100)
    await ended
  })

  it('nonsense is refused and kills nothing', async () => {
    const { identity } = run(worker())
    await expect(fence.arm('svc', identity, Number.NaN)).rejects.toMatchObject({ code: 'UND_REFUSED' })
    await expect(fence.arm('svc', { pid: 1, startTime: 1 }, now())).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(isAlive(identity)).toBe(true)
    await until('it counts as alive', () => fence.alive())
  })
})

describe('a fence in trouble', () => {
  it('frozen: arming is rejected and it does not count as alive; a new one takes over and the old one is killed', async () => {
    const old = fenceIdentity()
    assert(old, 'the fence has said who it is')
    const { child, identity } = run(worker())
    const killAtMono = now() + 4_000
    await arm(identity, killAtMono)
    await until('it is saved', () => readFileSync(paths().savedPath, 'utf8').includes(`"pid":${identity.pid}`))
    process.kill(old.pid, 'SIGSTOP')
    started.push(old)
    await expect(fence.arm('svc', identity, now() + 60_000)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
    await until('it does not count as alive', () => !fence.alive())

    const ended = endOf(child)
    startFence(paths(), FENCE_PROGRAM)
    await until('the old one is dead', () => !isAlive(old))
    await fenceReady()
    expect(await ended).toBeGreaterThanOrEqual(killAtMono)
  })

  it('killed and started again, it keeps the deadlines that were saved, without its agent', async () => {
    const { child, identity } = run(worker())
    const ended = endOf(child)
    const killAtMono = now() + 1_500
    await arm(identity, killAtMono)
    await until('it is saved', () => readFileSync(paths().savedPath, 'utf8').includes(`"pid":${identity.pid}`))
    fence.close()
    const old = fenceIdentity()
    assert(old, 'the fence has said who it is')
    process.kill(old.pid, 'SIGKILL')
    startFence(paths(), FENCE_PROGRAM)
    expect(await ended).toBeGreaterThanOrEqual(killAtMono)
  })

  it('killed and started again, its agent arms again by itself, also what was never saved', async () => {
    const { identity } = run(worker())
    await arm(identity, now() + 60_000)
    const old = fenceIdentity()
    assert(old, 'the fence has said who it is')
    process.kill(old.pid, 'SIGKILL')
    await until('it is gone', () => !isAlive(old))
    rmSync(paths().savedPath, { force: true })
    startFence(paths(), FENCE_PROGRAM)
    await fenceReady()
    await until('armed again', async () => (await armed()).some(({ pid }) => pid === identity.pid))
  })

  it('a second one beside a good one ends at once', async () => {
    const { socketPath, savedPath } = paths()
    const { child } = run([process.execPath, FENCE_PROGRAM, '--socket', socketPath, '--saved', savedPath])
    const code = await new Promise((resolve) => child.once('exit', resolve))
    expect(code).toBe(6)
    await until('the first one counts as alive', () => fence.alive())
  })

  const replace = () => {
    const { socketPath, savedPath } = paths()
    return run([process.execPath, FENCE_PROGRAM, '--socket', socketPath, '--saved', savedPath, '--replace'])
  }

  it('replaced: the new one keeps what was armed without being told again, says who it is, and the old one is gone', async () => {
    const { child, identity } = run(['sleep', '1000'])
    const killAtMono = now() + FAR_MS + 3_000
    await arm(identity, killAtMono)
    const before = fenceIdentity()
    assert(before, 'there is one')
    fence.close() // nothing arms again
    const ended = endOf(child)
    const { identity: next } = replace()
    await until('the old one is gone', () => !isAlive(before))
    expect(readJson(join(dir, 'fence.json'))).toEqual(next)
    expect(await ended).toBeGreaterThanOrEqual(killAtMono)
    expect(isAlive(next)).toBe(true)
    fence = connectFence(paths().socketPath)
    await fenceReady()
  })

  it('replaced by one that dies at any moment: what was armed dies at its deadline and not before', async () => {
    const { child, identity } = run(['sleep', '1000'])
    const killAtMono = now() + 4 * FAR_MS
    await arm(identity, killAtMono)
    const ended = endOf(child)
    for (const afterMs of [20, 60, 90, 110, 130, 150, 180, 250]) {
      const { child: next } = replace()
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      next.kill('SIGKILL')
      startFence(paths(), FENCE_PROGRAM) // as an agent does when it finds none; beside a good one it ends at once
      await until('a fence answers', () => fence.alive())
    }
    expect(await ended).toBeGreaterThanOrEqual(killAtMono)
  })

  it('asked to end, it ends when nothing is armed and not before', async () => {
    const { child, identity } = run(worker())
    const ended = endOf(child)
    const self = fenceIdentity()
    assert(self, 'the fence has said who it is')
    await arm(identity, now() + 500)
    process.kill(self.pid, 'SIGTERM')
    await ended
    await until('the fence has ended', () => !isAlive(self))
  })
})

describe('an agent in trouble', () => {
  /** A keeper that does not get a turn for so long has lost its writer rightly. */
  const LEASE_MS = 1_000
  const RUNS = 20

  async function guarded(trouble: NodeJS.Signals): Promise<{ signalLateMs: number; deadLateMs: number }> {
    const victim = run(worker())
    const ended = endOf(victim.child)
    const recruited = told(victim.identity)
    const { pid, startTime } = victim.identity
    const keeper = run(
      [
        process.execPath,
        join(PROGRAMS, 'lease-keeper.mjs'),
        paths().socketPath,
        `${pid}`,
        `${startTime}`,
        `${LEASE_MS}`,
      ],
      'pipe',
    )
    let said = ''
    keeper.child.stdout?.on('data', (chunk) => {
      said += chunk
    })
    await until('it was extended some times', () => said.split('\n').length > 4)
    expect(isAlive(victim.identity)).toBe(true)
    process.kill(keeper.identity.pid, trouble)
    const { killAtMono, atMono, outcome } = await recruited
    expect(outcome).toBe('killed')
    const deadAt = await ended
    signal(keeper.identity, 'SIGKILL') // the stopped one; the killed one is gone
    return { signalLateMs: atMono - killAtMono, deadLateMs: deadAt - killAtMono }
  }

  async function series(name: string, trouble: NodeJS.Signals): Promise<void> {
    const runs: Awaited<ReturnType<typeof guarded>>[] = []
    for (let n = 0; n < RUNS; n += 1) runs.push(await guarded(trouble))
    const figures = (pick: (run: (typeof runs)[number]) => number) => {
      const sorted = runs.map(pick).sort((a, b) => a - b)
      return `median ${sorted[RUNS / 2]?.toFixed(1)} ms, max ${sorted.at(-1)?.toFixed(1)} ms`
    }
    console.log(
      `${name}: signal late by ${figures((r) => r.signalLateMs)}; death seen late by ${figures((r) => r.deadLateMs)}`,
    )
    for (const { signalLateMs } of runs) {
      expect(signalLateMs).toBeGreaterThanOrEqual(0)
      expect(signalLateMs).toBeLessThan(1_000) // generous: speed is measured, not asserted
    }
  }

  it('SIGSTOPped: the writer dies at the last deadline', () => series('agent stopped', 'SIGSTOP'))
  it('killed: the writer dies at the last deadline', () => series('agent killed', 'SIGKILL'))
  it('SIGSTOPped on a busy machine', async () => {
    for (let n = 0; n < 2; n += 1) run([process.execPath, join(PROGRAMS, 'spin.mjs')])
    await series('agent stopped, two busy loops beside', 'SIGSTOP')
  })
})
