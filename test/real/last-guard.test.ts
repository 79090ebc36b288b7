/**
 * Agent and fence are killed in one breath: the shell behind them kills the writer at its deadline. And where all nodes share a
 * machine, a successor and the next agent kill for themselves what no guard is left to kill.
 *
 * Exercises: agent, drivers/process. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectFence, type Fence, startFence } from '../../src/agent/fence-client.ts'
import { readSaved } from '../../src/agent/fence-saved.ts'
import { killDueIn } from '../../src/agent/first-act.ts'
import { holdGuard } from '../../src/agent/last-guard.ts'
import { ownKill } from '../../src/agent/own-kills.ts'
import { endFormerOn } from '../../src/agent/same-machine.ts'
import type { InstanceRecord } from '../../src/drivers/process/instance-record.ts'
import { assert } from '../../src/lib/assert.ts'
import { bootId } from '../../src/lib/boot.ts'
import { sleep, systemClock } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import { removeMemoryFolderOf } from '../../src/lib/memory-folder.ts'
import { groupIsAlive, identify, isAlive, type ProcessIdentity, signal, signalGroup } from '../../src/lib/proc.ts'
import type { Stop } from '../../src/lib/stop.ts'
import { until, worker } from './process-place.ts'

const FENCE_PROGRAM = join(import.meta.dirname, '../../dist/agent/fence-process.js')
const now = () => systemClock.mono()
/** Time for what has to happen before a deadline, on a machine that is busy. */
const FAR_MS = 4_000

type Three = [string, string, string]

let dir: string
let fence: Fence
let letGo: Stop
let started: ProcessIdentity[]

const paths = () => ({
  socketPath: join(dir, 'f.sock'),
  savedPath: join(dir, 'fence-saved.json'),
  logPath: join(dir, 'fence.log'),
  guardPipe: join(dir, 'guard.pipe'),
})
const saved = () => readJson(paths().savedPath) as { fence?: ProcessIdentity; guard?: ProcessIdentity } | undefined

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'und-guard-'))
  started = []
  startFence(paths(), FENCE_PROGRAM)
  fence = connectFence(paths().socketPath)
  await until('the fence answers, with a guard behind it', () => fence.alive() && saved()?.guard !== undefined)
  letGo = holdGuard(paths().guardPipe) // this test stands in for the agent
})

afterEach(() => {
  fence.close()
  letGo()
  const { fence: last, guard } = saved() ?? {}
  for (const identity of [...started, last, guard]) {
    if (!identity) continue
    signal(identity, 'SIGKILL')
    if (groupIsAlive(identity.pid)) signalGroup(identity.pid, 'SIGKILL')
  }
  rmSync(dir, { recursive: true, force: true })
})

function run(words: readonly string[]): { child: ChildProcess; identity: ProcessIdentity; ended: Promise<number> } {
  const [file = '', ...args] = words
  const child = spawn(file, args, { detached: true, stdio: 'ignore' })
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  assert(identity, 'it runs')
  started.push(identity)
  return { child, identity, ended: new Promise((resolve) => child.once('exit', () => resolve(now()))) }
}

/** As an agent does: what was not acknowledged in time, because the machine was busy, is said again. */
async function arm(identity: ProcessIdentity, killAtMono: number): Promise<void> {
  const deadline = now() + 20_000
  for (;;) {
    try {
      return await fence.arm('svc', identity, killAtMono)
    } catch (error) {
      if (now() > deadline) throw error
    }
  }
}

function killFence(): void {
  const identity = saved()?.fence
  assert(identity, 'the fence has said who it is')
  process.kill(identity.pid, 'SIGKILL')
}

/** The agent dies: the kernel closes what it held. */
function agentDies(): void {
  fence.close()
  letGo()
}

describe('the last guard', () => {
  it('kills the whole group of a writer at its deadline when agent and fence are killed at once, and says that it did', async () => {
    const file = join(dir, 'children')
    const { identity, ended } = run(worker(`child=${file}`))
    await until('the grandchild runs', () => readIfThere(file).endsWith('\n'))
    const killAtMono = now() + FAR_MS
    await arm(identity, killAtMono)
    killFence()
    agentDies()
    expect(await ended).toBeGreaterThan(killAtMono - 20) // /proc/uptime counts in hundredths of a second
    await until('the group is gone', () => !groupIsAlive(identity.pid))
    await until('it is told', () => ownKill(dir, identity) !== undefined)
    expect(ownKill(dir, identity)).toContain('killed by the last guard')
    const guard = saved()?.guard
    assert(guard, 'the guard is known')
    await until('with nothing left to guard it ends', () => !isAlive(guard))
  })

  it('does nothing while the agent lives, nor while the fence lives', async () => {
    const { identity } = run(worker())
    await arm(identity, now() + 60_000)
    const before = saved()
    killFence()
    await sleep(systemClock, 300)
    expect(isAlive(identity)).toBe(true)
    startFence(paths(), FENCE_PROGRAM)
    await until('the next fence has the same guard', () => {
      const after = saved()
      return after?.fence?.pid !== before?.fence?.pid && after?.guard?.pid === before?.guard?.pid
    })
    agentDies()
    await sleep(systemClock, 300)
    expect(isAlive(identity)).toBe(true)
  })

  it('leaves the writer to a fence and an agent that are back before its deadline', async () => {
    const { identity } = run(worker())
    const killAtMono = now() + FAR_MS
    await arm(identity, killAtMono)
    await until('it is saved', () => readFileSync(paths().savedPath, 'utf8').includes(`"pid":${identity.pid}`))
    killFence()
    agentDies()
    startFence(paths(), FENCE_PROGRAM)
    fence = connectFence(paths().socketPath)
    letGo = holdGuard(paths().guardPipe)
    await arm(identity, now() + 60_000)
    await sleep(systemClock, killAtMono - now() + 500)
    expect(isAlive(identity)).toBe(true)
  })

  it('is there again before the next arming is acknowledged, when it was killed', async () => {
    const { identity, ended } = run(worker())
    const guard = saved()?.guard
    assert(guard, 'the guard is known')
    process.kill(guard.pid, 'SIGKILL')
    await until('it is dead', () => !isAlive(guard))
    const killAtMono = now() + FAR_MS
    await arm(identity, killAtMono)
    killFence()
    agentDies()
    expect(await ended).toBeGreaterThan(killAtMono - 20)
  })

  it('is replaced when it was stopped by a signal, and when another hand removed its pipe', async () => {
    const guard = saved()?.guard
    assert(guard, 'the guard is known')
    process.kill(guard.pid, 'SIGSTOP')
    await until('another guard', () => saved()?.guard?.pid !== guard.pid && !isAlive(guard))
    killFence()
    rmSync(paths().guardPipe)
    rmSync(paths().savedPath)
    startFence(paths(), FENCE_PROGRAM)
    await until('a fence with a guard', () => fence.alive() && saved()?.guard !== undefined)
    const { identity, ended } = run(worker())
    await arm(identity, now() + FAR_MS)
    killFence()
    agentDies()
    await ended
  })

  it('kills at the deadline also when what the fence had saved in memory has vanished', async () => {
    fence.close()
    letGo()
    killFence()
    const [socketPath, savedPath, pipe] = ['m.sock', 'm.json', 'm.pipe'].map((name) => join(dir, name)) as Three
    const { identity: keeper } = run([
      ...[process.execPath, FENCE_PROGRAM, '--socket', socketPath],
      ...['--saved', savedPath, '--memory', '--guard', pipe],
    ])
    fence = connectFence(socketPath)
    await until('the fence answers, with a guard', () => fence.alive() && readSaved(savedPath).guard !== undefined)
    const { guard } = readSaved(savedPath)
    if (guard) started.push(guard)
    letGo = holdGuard(pipe)
    const { identity, ended } = run(worker())
    const killAtMono = now() + FAR_MS
    await arm(identity, killAtMono)
    removeMemoryFolderOf(dir)
    process.kill(keeper.pid, 'SIGKILL')
    agentDies()
    expect(await ended).toBeGreaterThan(killAtMono - 20)
    removeMemoryFolderOf(dir)
  })

  it('never kills a stranger: a number that was given out again is left alone', async () => {
    const { identity } = run(worker())
    const { identity: other, ended } = run(worker())
    const killAtMono = now() + FAR_MS
    await arm({ pid: identity.pid, startTime: identity.startTime - 1 }, killAtMono)
    await arm(other, killAtMono)
    killFence()
    agentDies()
    await ended
    expect(isAlive(identity)).toBe(true)
  })
})

describe('the first act of an agent', () => {
  it('kills what is due when the fence is dead or frozen, and leaves it to a fence that lives', async () => {
    const { identity, ended } = run(worker())
    const armed = [{ service: 'svc', ...identity, killAtMono: now() - 1 }]
    const save = (keeper: ProcessIdentity | undefined) =>
      writeFileSync(paths().savedPath, JSON.stringify({ bootId: bootId(), fence: keeper, armed }))
    const kept = saved()
    const { identity: keeper } = run(worker())
    save(keeper)
    killDueIn(dir)
    expect(isAlive(identity)).toBe(true)
    process.kill(keeper.pid, 'SIGSTOP')
    await until('it is stopped', () => readFileSync(`/proc/${keeper.pid}/stat`, 'utf8').includes(') T '))
    killDueIn(dir)
    await ended
    expect(ownKill(dir, identity)).toContain('killed by the next agent')
    writeFileSync(paths().savedPath, JSON.stringify(kept)) // what the end of this test cleans up by
  })
})

describe('a successor on the same machine', () => {
  function former(identity: ProcessIdentity, change: Partial<InstanceRecord> = {}): string {
    const nodeDir = join(dir, 'b')
    mkdirSync(join(nodeDir, 'instances'), { recursive: true })
    const record: InstanceRecord = {
      bootId: bootId(),
      phase: 'open',
      identity,
      role: 'primary',
      term: 3,
      told: true,
      port: 1,
      startedAtMono: 0,
      wasHealthy: true,
      failures: 0,
      retryAtMono: 0,
      note: '',
      ...change,
    }
    writeFileSync(join(nodeDir, 'instances', 'svc.json'), JSON.stringify(record))
    return nodeDir
  }

  it('kills the former primary with its group before it starts, and writes down that it did', async () => {
    const { identity } = run(worker())
    const nodeDir = former(identity)
    process.kill(identity.pid, 'SIGSTOP')
    await endFormerOn(() => [{ node: 'b', nodeDir }], 'a', systemClock)('svc', 4)
    expect(groupIsAlive(identity.pid)).toBe(false)
    expect(ownKill(nodeDir, identity)).toContain('killed by the agent of a')
  })

  it('kills no standby, no stranger, and nothing that has ended, and does not start beside a newer term', async () => {
    const { identity } = run(worker())
    const look = (change: Partial<InstanceRecord>, of = identity) =>
      endFormerOn(() => [{ node: 'b', nodeDir: former(of, change) }], 'a', systemClock)('svc', 4)
    await look({ role: 'standby' })
    await look({ phase: 'ended' })
    await look({ bootId: 'another' })
    await look({}, { pid: identity.pid, startTime: identity.startTime - 1 })
    await expect(look({ term: 4 })).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(isAlive(identity)).toBe(true)
  })
})

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
