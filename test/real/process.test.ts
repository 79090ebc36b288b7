/**
 * What the contract cannot know of a process driver: gates, groups, signals, ports, logs, hooks. All with real processes.
 *
 * Exercises: drivers/process. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { ServiceTiming } from '../../src/core/model.ts'
import type { Driver } from '../../src/drivers/driver.ts'
import type { ProcessOptions } from '../../src/drivers/process/options.ts'
import { assert } from '../../src/lib/assert.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { groupIsAlive, isAlive, type ProcessIdentity } from '../../src/lib/proc.ts'
import { freePort, PROGRAMS, ProcessPlace, until, WEB, worker } from './process-place.ts'

const PRIMARY = { role: 'primary', term: 7 } as const
const STANDBY = { role: 'standby', term: 0 } as const
const ACTIVE = { role: 'active', term: 0 } as const

const places: ProcessPlace[] = []
const hosts: ChildProcess[] = []
const servers: Server[] = []

afterEach(async () => {
  for (const host of hosts.splice(0)) host.kill('SIGKILL')
  for (const place of places.splice(0)) await place.close()
  for (const server of servers.splice(0)) server.close()
})

function openPlace(options: Partial<ProcessOptions>, timing: Partial<ServiceTiming> = {}): ProcessPlace {
  const place = new ProcessPlace(options, timing)
  places.push(place)
  return place
}

async function openDriver(options: Partial<ProcessOptions>, timing: Partial<ServiceTiming> = {}) {
  const place = openPlace(options, timing)
  const driver = place.open()
  await driver.adopt()
  return { place, driver }
}

const pidOf = (driver: Driver): number => {
  const { pid } = driver.observe()
  assert(pid !== undefined, 'it runs')
  return pid
}
const health = (driver: Driver) => driver.observe().health
const state = (driver: Driver) => driver.observe().state
const isHealthy = (driver: Driver) => until('it is healthy', () => health(driver) === 'healthy')
const hasEnded = (driver: Driver) => until('it is stopped', () => state(driver) === 'stopped')
/** What a program prints passes through its log writer, a process of its own, and is in the log a moment later. */
const says = (place: ProcessPlace, text: string) =>
  until(`the log holds ${JSON.stringify(text)}`, () => place.log().includes(text))
const hasRun = (place: ProcessPlace) => until('it has run', () => /^ran /m.test(place.log()))
/** Tells the web program how to answer from now on. */
async function tell(driver: Driver, how: string): Promise<void> {
  await fetch(`http://127.0.0.1:${driver.observe().port}/be?${how}`)
}
const hasGrandchild = (place: ProcessPlace) => until('a grandchild runs', () => place.read('children').endsWith('\n'))

/** An agent of its own process that starts an instance here; resolves to the instance's identity. */
async function hostElsewhere(place: ProcessPlace, what: 'at-gate' | 'run') {
  const program = join(PROGRAMS, 'driver-host.mjs')
  const host = spawn(process.execPath, [program, JSON.stringify(place.parts()), what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  hosts.push(host)
  let said = ''
  host.stdout?.on('data', (chunk) => {
    said += chunk
  })
  await until('the other agent has come as far', () => said.includes(what === 'run' ? 'running\n' : '}\n'))
  const identity = JSON.parse(said.slice(0, said.indexOf('\n'))) as ProcessIdentity
  const kill = async () => {
    host.kill('SIGKILL')
    await new Promise((resolve) => host.once('exit', resolve))
  }
  return { identity, kill }
}

describe('the gate', () => {
  it('an agent killed before it opened the gate: the program never runs, and nothing is left', async () => {
    const place = openPlace({ run: worker() })
    const { identity, kill } = await hostElsewhere(place, 'at-gate')
    expect(isAlive(identity)).toBe(true)
    expect(place.record()).toMatchObject({ identity, phase: 'gated', role: 'primary', term: 7 })
    await kill()
    await until('the gate has ended by itself', () => !groupIsAlive(identity.pid))
    expect(place.log()).toBe('')
    const driver = place.open()
    await driver.adopt()
    expect(driver.observe()).toMatchObject({ state: 'stopped', role: 'none', failures: 0 })
    expect(driver.observe().note).toContain('before it ran')
  })

  it('what is armed before is what runs after: same pid, same start time', async () => {
    const { place, driver } = await openDriver({ run: worker() })
    let armed: ProcessIdentity | undefined
    await driver.start({
      ...PRIMARY,
      beforeRun: async (identity) => {
        armed = identity
        expect(place.log()).toBe('')
      },
    })
    await hasRun(place)
    assert(armed, 'beforeRun was called')
    expect(isAlive(armed)).toBe(true)
    await says(place, `ran ${armed.pid} primary 7`)
    expect(place.record()).toMatchObject({ identity: armed, phase: 'open' })
  })
})

describe('adoption', () => {
  it('another agent takes over after kill -9 of the first: same process, role, term and port, still healthy', async () => {
    const place = openPlace({ run: WEB, health: { http: '/healthz', exec: null } })
    const { identity, kill } = await hostElsewhere(place, 'run')
    const first = place.open()
    await first.adopt()
    await isHealthy(first)
    await first.close()
    await kill()
    const driver = place.open()
    await driver.adopt()
    const { port } = place.record()
    expect(driver.observe()).toMatchObject({ state: 'running', health: 'healthy', ...PRIMARY, pid: identity.pid, port })
    await driver.stop({ settleMs: 0, graceMs: 5_000 })
    expect(groupIsAlive(identity.pid)).toBe(false)
  })

  it('one that became unhealthy unwatched is seen to be unhealthy: it is not taken for one that still starts', async () => {
    const { place, driver } = await openDriver({ run: WEB, health: { http: '/healthz', exec: null } })
    await driver.start(ACTIVE)
    await isHealthy(driver)
    await driver.close()
    await tell(driver, 'status=503')
    const next = place.open()
    await next.adopt()
    await until('it is unhealthy', () => health(next) === 'unhealthy')
  })

  it('kills what a leader left behind unwatched', async () => {
    const place = openPlace({ run: worker('child=children') })
    const { identity, kill } = await hostElsewhere(place, 'run')
    await hasGrandchild(place)
    await kill()
    process.kill(identity.pid, 'SIGKILL')
    await until('the leader is gone', () => !isAlive(identity))
    expect(groupIsAlive(identity.pid)).toBe(true)
    const driver = place.open()
    await driver.adopt()
    expect(groupIsAlive(identity.pid)).toBe(false)
    expect(driver.observe()).toMatchObject({ state: 'stopped', failures: 1, note: 'ended while no agent watched' })
  })

  it('never takes a stranger for its own: same pid, another start time', async () => {
    const { place, driver } = await openDriver({ run: worker() })
    await driver.start(PRIMARY)
    await driver.close()
    const record = place.record()
    const pid = record.identity.pid
    const path = join(place.dir, 'instances/svc.json')
    const forged = { ...record, identity: { pid, startTime: record.identity.startTime - 1 } }
    writeFileSync(path, JSON.stringify(forged))
    const next = place.open()
    await next.adopt()
    expect(state(next)).toBe('stopped')
    expect(isAlive(record.identity)).toBe(true)
    process.kill(-pid, 'SIGKILL')
    await until('it is gone', () => !groupIsAlive(pid))
  })

  it('an instance file of an earlier boot means that nothing is here', async () => {
    const { place, driver } = await openDriver({ run: ['true'] })
    await driver.start(ACTIVE)
    await hasEnded(driver)
    const path = join(place.dir, 'instances/svc.json')
    writeFileSync(path, JSON.stringify({ ...place.record(), bootId: 'another' }))
    const next = place.open()
    await next.adopt()
    expect(next.observe()).toMatchObject({ state: 'stopped', failures: 0, note: '' })
  })

  it('an instance file that is damaged is left alone, and nothing is started beside what it may speak of', async () => {
    const { place, driver } = await openDriver({ run: ['true'] })
    await driver.start(ACTIVE)
    await hasEnded(driver)
    const path = join(place.dir, 'instances/svc.json')
    for (const content of ['{"pid":', '{}']) {
      writeFileSync(path, content)
      const next = place.open()
      await next.adopt()
      expect(next.observe().note).toContain(path)
      await expect(next.start(ACTIVE)).rejects.toThrow(path)
      expect(readFileSync(path, 'utf8')).toBe(content)
    }
  })
})

describe('ending', () => {
  it('stop lets it finish', async () => {
    const { place, driver } = await openDriver({ run: worker('polite') })
    await driver.start(ACTIVE)
    await hasRun(place)
    await isHealthy(driver)
    await driver.stop({ settleMs: 10, graceMs: 10_000 })
    await says(place, 'heard SIGTERM\nfinished\n')
    expect(driver.observe()).toMatchObject({ state: 'stopped', failures: 0, note: '' })
  })

  it('stop reaches a program behind a shell, and its grace is its own although the shell ends at once', async () => {
    const run = `true && ${worker('polite').join(' ')}; true`
    const { place, driver } = await openDriver({ run })
    await driver.start(ACTIVE)
    await hasRun(place)
    await driver.stop({ settleMs: 0, graceMs: 10_000 })
    await says(place, 'heard SIGTERM\nfinished\n')
  })

  it('stop kills who does not listen, after the grace', async () => {
    const { place, driver } = await openDriver({ run: worker('deaf') })
    await driver.start(ACTIVE)
    await hasRun(place)
    const pid = pidOf(driver)
    const asked = systemClock.mono()
    await driver.stop({ settleMs: 50, graceMs: 400 })
    expect(systemClock.mono() - asked).toBeGreaterThanOrEqual(450)
    await says(place, 'heard SIGTERM and stays')
    expect(groupIsAlive(pid)).toBe(false)
  })

  it('stop of one that is frozen does not wait for the grace', async () => {
    const { driver } = await openDriver({ run: worker('polite') })
    await driver.start(ACTIVE)
    process.kill(pidOf(driver), 'SIGSTOP')
    await until('it is seen as hung', () => driver.observe().hung)
    const asked = systemClock.mono()
    await driver.stop({ settleMs: 60_000, graceMs: 60_000 })
    expect(systemClock.mono() - asked).toBeLessThan(30_000)
  })

  it('frozen just before stop: the hang is seen in the grace, and ends it', async () => {
    const { driver } = await openDriver({ run: worker('polite') })
    await driver.start(ACTIVE)
    await isHealthy(driver)
    process.kill(pidOf(driver), 'SIGSTOP')
    const asked = systemClock.mono()
    await driver.stop({ settleMs: 0, graceMs: 60_000 })
    expect(systemClock.mono() - asked).toBeLessThan(30_000)
    expect(state(driver)).toBe('stopped')
  })

  it('a leader that dies takes its group with it, and is `stopped` only then', async () => {
    const { place, driver } = await openDriver({ run: worker('child=children') })
    await driver.start(PRIMARY)
    await hasGrandchild(place)
    const pid = pidOf(driver)
    let stoppedWithRemains = false
    driver.onChange(() => {
      stoppedWithRemains ||= state(driver) === 'stopped' && groupIsAlive(pid)
    })
    process.kill(pid, 'SIGKILL')
    await hasEnded(driver)
    expect(stoppedWithRemains).toBe(false)
    expect(groupIsAlive(pid)).toBe(false)
  })

  it('kill leaves no grandchild', async () => {
    const { place, driver } = await openDriver({ run: worker('deaf', 'child=children') })
    await driver.start(PRIMARY)
    await hasGrandchild(place)
    const pid = pidOf(driver)
    await driver.kill()
    expect(groupIsAlive(pid)).toBe(false)
  })
})

describe('how it ended, in words', () => {
  const endings: readonly [string, ProcessOptions['run'], RegExp][] = [
    ['an exit code', worker('exit=3'), /^ended with code 3 after \d/],
    ['a command that does not exist', 'nodee server.js', /^command not found: nodee \(sh ended with code 127/],
    ['words that do not exist', ['/no/such/program'], /^command not found: \/no\/such\/program/],
    ['what is no program', ['/etc/passwd'], /^command cannot be executed: \/etc\/passwd/],
  ]
  for (const [name, run, note] of endings) {
    it(name, async () => {
      const { driver } = await openDriver({ run })
      await driver.start(ACTIVE)
      await hasEnded(driver)
      expect(driver.observe().note).toMatch(note)
    })
  }

  it('a signal', async () => {
    const { driver } = await openDriver({ run: worker() })
    await driver.start(ACTIVE)
    process.kill(pidOf(driver), 'SIGKILL')
    await hasEnded(driver)
    expect(driver.observe().note).toMatch(/^killed by SIGKILL after \d/)
  })

  it('a folder that does not exist: the start is refused, says so, and counts', async () => {
    const { driver } = await openDriver({ run: ['true'], cwd: '/no/such/folder' })
    await expect(driver.start(ACTIVE)).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(driver.observe()).toMatchObject({ state: 'stopped', failures: 1 })
    expect(driver.observe().note).toContain('/no/such/folder')
  })

  it('a state folder that cannot be written: nothing runs', async () => {
    const { place, driver } = await openDriver({ run: worker() })
    rmSync(join(place.dir, 'logs'), { recursive: true, force: true })
    writeFileSync(join(place.dir, 'logs'), 'a file where a folder should be')
    await expect(driver.start(ACTIVE)).rejects.toMatchObject({ code: 'UND_STATE_NOT_WRITABLE' })
    expect(driver.observe().note).toContain('cannot write')
  })
})

describe('back-off', () => {
  it('what exits at once for ever waits longer each time, also under a new agent', async () => {
    const { place, driver } = await openDriver({ run: worker('exit=1') })
    const waits: number[] = []
    for (let n = 0; n < 4; n += 1) {
      await driver.start(ACTIVE)
      await hasEnded(driver)
      waits.push(driver.observe().retryInMs)
    }
    const [first, second, third, fourth] = waits as [number, number, number, number]
    expect(first).toBe(0)
    expect(second).toBeGreaterThan(300)
    expect(third).toBeGreaterThan(second)
    expect(fourth).toBeGreaterThan(third)
    await driver.close()
    const next = place.open()
    await next.adopt()
    expect(next.observe()).toMatchObject({ failures: 4, note: driver.observe().note })
    expect(next.observe().retryInMs).toBeGreaterThan(0)
  })

  it('is forgiven after a spell of good health', async () => {
    const { driver } = await openDriver({ run: worker() })
    await driver.start(ACTIVE)
    process.kill(pidOf(driver), 'SIGKILL')
    await hasEnded(driver)
    await driver.start(ACTIVE)
    await isHealthy(driver)
    expect(driver.observe().failures).toBe(1)
    await until('it is forgiven', () => driver.observe().failures === 0, 30_000)
  })
})

describe('health', () => {
  const asked = { run: WEB, health: { http: '/healthz', exec: null } }

  it('follows what it answers, and says why', async () => {
    const { driver } = await openDriver(asked)
    await driver.start(ACTIVE)
    await isHealthy(driver)
    await tell(driver, 'status=503')
    await until('it is unhealthy', () => health(driver) === 'unhealthy')
    expect(driver.observe().note).toMatch(/^GET http:\/\/127.0.0.1:\d+\/healthz answered 503, expected 200-399$/)
    await tell(driver, 'status=302')
    await isHealthy(driver)
    await tell(driver, 'status=0')
    await until('it is unhealthy again', () => health(driver) === 'unhealthy')
    expect(driver.observe().note).toMatch(/^GET http:\/\/127.0.0.1:\d+\/healthz: no answer within 500 ms$/)
  })

  it('of what never listens stays unknown, with a note', async () => {
    const { driver } = await openDriver({ ...asked, run: worker() })
    await driver.start(ACTIVE)
    await until('it was asked', () => driver.observe().note !== '')
    expect(driver.observe()).toMatchObject({
      health: 'unknown',
      note: expect.stringMatching(
        /^not healthy yet: GET http:\/\/127.0.0.1:\d+\/healthz: connection refused, and it listens nowhere$/,
      ),
    })
  })

  it('a miss while our own event loop was late proves nothing', async () => {
    let lagMs = 0
    const place = openPlace(asked)
    const driver = place.open(() => lagMs)
    await driver.start(ACTIVE)
    await isHealthy(driver)
    lagMs = 150
    await tell(driver, 'status=503')
    await new Promise((resolve) => setTimeout(resolve, 500)) // several checks; that nothing happens has no condition
    expect(health(driver)).toBe('healthy')
    lagMs = 0
    await until('it is unhealthy', () => health(driver) === 'unhealthy')
  })

  it('by a command: exit code 0, killed when it takes too long', async () => {
    const check = 'test "$UNDERSTUDY_SERVICE" = svc && { test ! -e slow || sleep 60; } && test -e well'
    const { place, driver } = await openDriver({ run: worker(), health: { http: null, exec: check } })
    await driver.start(ACTIVE)
    await until('it was asked', () => driver.observe().note === 'not healthy yet: check: ended with code 1')
    writeFileSync(join(place.dir, 'well'), '')
    await isHealthy(driver)
    writeFileSync(join(place.dir, 'slow'), '')
    await until('it is unhealthy', () => health(driver) === 'unhealthy')
    expect(driver.observe().note).toBe('check: no end within 500 ms')
  })

  it('a kill because it was unhealthy is a failure, and says what it was', async () => {
    const { driver } = await openDriver(asked)
    await driver.start(ACTIVE)
    await isHealthy(driver)
    await tell(driver, 'status=500')
    await until('it is unhealthy', () => health(driver) === 'unhealthy')
    await driver.kill()
    const note = expect.stringMatching(
      /^ended because it was unhealthy: GET \S+\/healthz answered 500, expected 200-399$/,
    )
    expect(driver.observe()).toMatchObject({ failures: 1, note })
  })
})

describe('ports and environment', () => {
  it('has the same port at every start while it is free, and the next one when it is not', async () => {
    const { place, driver } = await openDriver({ run: 'env' })
    await driver.start(PRIMARY)
    await hasEnded(driver)
    const { port } = place.record()
    expect(port).toBeGreaterThanOrEqual(20_000)
    expect(port).toBeLessThan(30_000)
    await driver.start(PRIMARY)
    await hasEnded(driver)
    expect(place.record().port).toBe(port)
    await occupy(port)
    await driver.start(PRIMARY)
    await hasEnded(driver)
    expect(place.record().port).not.toBe(port)
    for (const line of [
      `PORT=${port}`,
      'HOST=127.0.0.1',
      'UNDERSTUDY_NODE=a',
      'UNDERSTUDY_SERVICE=svc',
      'UNDERSTUDY_ROLE=primary',
      'UNDERSTUDY_TERM=7',
      `UNDERSTUDY_CLUSTER=${place.dir}`,
    ]) {
      await says(place, `${line}\n`)
    }
  })

  it('a fixed port that is taken is an error that says how to find who has it', async () => {
    const port = await freePort()
    await occupy(port)
    const { driver } = await openDriver({ run: WEB, port })
    await expect(driver.start(ACTIVE)).rejects.toMatchObject({ code: 'UND_PORT_TAKEN' })
    expect(driver.observe()).toMatchObject({ state: 'stopped', failures: 1 })
    expect(driver.observe().note).toContain(`ss -ltnp sport = :${port}`)
  })

  it('env and cwd are as configured; PORT is not the user’s to set', async () => {
    const { place, driver } = await openDriver({ run: 'pwd; env', env: { GREETING: 'hello', PORT: '1' } })
    await driver.start(ACTIVE)
    await hasEnded(driver)
    await says(place, `${place.dir}\n`)
    await says(place, 'GREETING=hello\n')
    expect(place.log()).not.toContain('PORT=1\n')
  })

  it('limits hold', async () => {
    const limits = { openFiles: 123, memoryBytes: 8 * 1024 ** 3, cpuSeconds: 77 }
    const { place, driver } = await openDriver({ run: 'ulimit -n; ulimit -v; ulimit -t', limits })
    await driver.start(ACTIVE)
    await hasEnded(driver)
    await says(place, '\n77\n')
    expect(place.log()).toBe(`123\n${8 * 1024 ** 2}\n77\n`)
  })

  it.skipIf(process.getuid?.() !== 0)('runs as another user, and that user’s group', async () => {
    const { place, driver } = await openDriver({ run: 'id -un; id -G; echo "$HOME"', user: 'nobody', cwd: '/' })
    await driver.start(ACTIVE)
    await until('its words', () => /^nobody\n\d+\n\/\w*/.test(place.log()))
  })

  it('a user that does not exist is an error', async () => {
    const { driver } = await openDriver({ run: 'id', user: 'no-such-user' })
    await expect(driver.start(ACTIVE)).rejects.toMatchObject({ code: 'UND_CONFIG_INVALID' })
  })

  async function occupy(port: number): Promise<void> {
    const server = createServer()
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  }
})

describe('a warm standby', () => {
  const hooked = { run: WEB, promote: { http: '/promote' }, health: { http: '/healthz', exec: null } }

  it('is told by HTTP', async () => {
    const { place, driver } = await openDriver(hooked)
    await driver.start(STANDBY)
    await isHealthy(driver)
    const pid = pidOf(driver)
    await driver.promote(7)
    await says(place, 'promoted {"role":"primary","term":7}')
    expect(driver.observe()).toMatchObject({ ...PRIMARY, pid })
    expect(place.record()).toMatchObject({ ...PRIMARY })
  })

  it('that objects stays a standby', async () => {
    const { place, driver } = await openDriver(hooked)
    await driver.start(STANDBY)
    await isHealthy(driver)
    await tell(driver, 'promote=409')
    await expect(driver.promote(7)).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(driver.observe()).toMatchObject(STANDBY)
    expect(place.record()).toMatchObject(STANDBY)
  })

  it('that does not answer may have been told: it counts as primary, and is told again', async () => {
    const { place, driver } = await openDriver(hooked)
    await driver.start(STANDBY)
    await isHealthy(driver)
    await tell(driver, 'promote=0')
    await expect(driver.promote(7)).rejects.toMatchObject({ code: 'UND_TIMED_OUT' })
    expect(driver.observe()).toMatchObject(PRIMARY)
    await tell(driver, 'promote=204')
    await driver.promote(7)
    await until('both are in the log', () => place.log().match(/^promoted/gm)?.length === 2)
  })

  it('is told by a signal and reads its term from the file', async () => {
    const { place, driver } = await openDriver({ run: worker(), promote: { signal: 'SIGUSR1' } })
    await driver.start(STANDBY)
    await hasRun(place)
    await isHealthy(driver)
    await driver.promote(7)
    await until('it has heard', () => place.log().includes('told 7\n'))
    expect(driver.observe()).toMatchObject(PRIMARY)
  })
})

describe('logs', () => {
  it('are rotated while it writes; old ones are kept up to their number', async () => {
    const { place, driver } = await openDriver({ run: worker('chatty'), logBytes: 20_000, logFiles: 2 })
    await driver.start(ACTIVE)
    const logs = () =>
      readdirSync(join(place.dir, 'logs'))
        .filter((name) => name.includes('.log'))
        .sort()
    const rotatedTwice = () => logs().includes('svc.log.2') && logs().includes('svc.log.1')
    const isShort = () => place.log().length > 0 && place.log().length < 1_000_000
    await until('it was rotated twice and is written on', () => rotatedTwice() && isShort(), 60_000)
    await driver.kill()
    expect(logs()).toEqual(['svc.log', 'svc.log.1', 'svc.log.2'])
    expect(place.read('logs/svc.log.1')).toHaveLength(19_968) // whole blocks of 512 bytes
  })

  it('have what both streams say, also when the agent is gone', async () => {
    const place = openPlace({ run: 'echo one; echo two >&2; sleep 0.5; echo three; sleep 60' })
    const { kill } = await hostElsewhere(place, 'run')
    await kill()
    await until('it is still written', () => place.log() === 'one\ntwo\nthree\n')
  })
})
