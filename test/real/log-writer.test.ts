/**
 * The logs of instances: a bound on their size that holds at any speed, and nothing of it on the agent's loop.
 *
 * Exercises: drivers/process. Engines: none.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { sleep, systemClock } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import { isAlive, type ProcessIdentity } from '../../src/lib/proc.ts'
import { ProcessPlace, until } from './process-place.ts'

const places: ProcessPlace[] = []
afterEach(async () => {
  for (const place of places.splice(0)) await place.close()
})

async function running(options: ConstructorParameters<typeof ProcessPlace>[0]) {
  const place = new ProcessPlace(options)
  places.push(place)
  const driver = place.open()
  await driver.start({ role: 'active', term: 0 })
  const folder = join(place.dir, 'logs')
  const logs = () => readdirSync(folder).filter((name) => name.includes('.log'))
  const bytes = () =>
    logs().reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0)
  const writer = () => readJson(join(folder, 'svc.writer.json')) as ProcessIdentity
  return { place, driver, logs, bytes, writer }
}

it('a program that prints as fast as it can never fills more than its logs may hold, and is not ended by it', async () => {
  const logBytes = 1024 * 1024
  const { driver, logs, bytes } = await running({ run: ['yes', 'a line of some log'], logBytes, logFiles: 2 })
  const before = driver.observe().pid
  let most = 0
  await until('all logs were written', () => logs().length === 3)
  for (let looks = 0; looks < 500; looks += 1) {
    most = Math.max(most, bytes())
    await sleep(systemClock, 2)
  }
  expect(most).toBeLessThanOrEqual(3 * logBytes)
  expect(most).toBeGreaterThan(logBytes)
  expect(driver.observe()).toMatchObject({ state: 'running', pid: before })
})

it('lines are kept in order over rotations, and at most 4 KiB are lost at each', async () => {
  const script = 'n=0; while [ $n -lt 3000 ]; do echo "line $n"; n=$((n + 1)); done; sleep 60'
  const { place } = await running({ run: ['sh', '-c', script], logBytes: 16_384, logFiles: 9 })
  await until('the last line', () => place.log().endsWith('line 2999\n'))
  const files = [...Array(9).keys()].reverse().map((age) => place.read(`logs/svc.log.${age + 1}`))
  const whole = [...files, place.log()].flatMap((text) => text.split('\n')).filter((line) => /^line \d+$/.test(line))
  const numbers = whole.map((line) => Number(line.slice(5)))
  const back = numbers.filter((n, index) => index > 0 && n < (numbers[index - 1] ?? 0))
  expect(back.length).toBeLessThanOrEqual(2) // a line whose last digits were cut off
  expect(numbers.length).toBeGreaterThan(3_000 - 2 * (4_096 / 'line 99\n'.length))
})

it('the death of the log writer neither ends the program nor loses what it prints afterwards', async () => {
  const script = 'n=0; while :; do echo "line $n"; n=$((n + 1)); sleep 0.02; done'
  const { place, driver, writer } = await running({ run: ['sh', '-c', script] })
  await until('it prints', () => place.log().includes('line 3\n'))
  const { pid } = driver.observe()
  const first = writer()
  process.kill(-first.pid, 'SIGKILL') // with its dd
  await until('another one', () => writer().pid !== first.pid && isAlive(writer()))
  const soFar = Number(/line (\d+)\n$/.exec(place.log())?.[1] ?? 0)
  await until('it goes on', () => place.log().includes(`line ${soFar + 30}\n`))
  expect(driver.observe().pid).toBe(pid)
})

it('what is printed while no agent runs is written, and the last words of a program are in its log', async () => {
  const { place, driver, writer } = await running({ run: ['sh', '-c', 'sleep 1; echo last words'] })
  const { pid, startTime } = driver.observe()
  await driver.close()
  await until('its end', () => !isAlive({ pid: pid ?? 0, startTime: startTime ?? 0 }))
  await until('its last words', () => place.log() === 'last words\n')
  await until('the log writer ends with it', () => !isAlive(writer()))
})

it('with no older logs to keep, the log is emptied when it is full', async () => {
  const { logs, bytes } = await running({ run: ['yes'], logBytes: 65_536, logFiles: 0 })
  for (let looks = 0; looks < 200; looks += 1) {
    expect(bytes()).toBeLessThanOrEqual(65_536)
    await sleep(systemClock, 2)
  }
  expect(logs()).toEqual(['svc.log'])
})

it('the size limit of the log writer is not that of the program', async () => {
  const { place } = await running({
    run: ['sh', '-c', 'ulimit -f; head -c 300000 /dev/zero >big; sleep 60'],
    logBytes: 4_096,
  })
  await until('a larger file', () => place.read('big').length === 300_000)
  // It passes through the log writer, a process of its own.
  await until('what it printed', () => place.log() === 'unlimited\n')
})

it('the words of a program that ends at once are in its log', async () => {
  const { place } = await running({ run: ['sh', '-c', 'echo cannot start; exit 3'] })
  await until('its words', () => place.log() === 'cannot start\n')
})

it('the pipe of a log is there before the first start, so that a failover makes none', async () => {
  const place = new ProcessPlace({ run: ['sleep', '60'] })
  places.push(place)
  const driver = place.open()
  await driver.adopt()
  const pipe = join(place.dir, 'logs', 'svc.pipe')
  const { ino } = statSync(pipe)
  await driver.start({ role: 'active', term: 0 })
  expect(statSync(pipe)).toMatchObject({ ino, mode: 0o010600 })
})

it('with its folder removed the log writer goes on reading, so the program is not held up, and ends with it', async () => {
  const script = 'while :; do echo "a line of some log"; echo >>lines; done'
  const { place, driver, writer } = await running({ run: ['sh', '-c', script], logBytes: 65_536 })
  await until('it prints', () => place.log() !== '')
  const own = writer()
  rmSync(join(place.dir, 'logs'), { recursive: true })
  const lines = place.read('lines').length
  const room = 2 * 65_536 // in the log that was removed, and in the pipe
  await until('it goes on', () => place.read('lines').length > lines + (2 * room) / 'a line of some log'.length, 60_000)
  expect(isAlive(own)).toBe(true)
  await driver.kill()
  await until('the log writer ends with it', () => !isAlive(own))
})

it('a log that cannot be opened keeps no log writer after the end of its program', async () => {
  const { place, driver, writer } = await running({ run: ['yes'], logBytes: 65_536, logFiles: 0 })
  await until('it prints', () => place.log() !== '')
  const own = writer()
  const log = join(place.dir, 'logs', 'svc.log')
  process.kill(own.pid, 'SIGSTOP') // else it may make the log again between the two
  rmSync(log)
  mkdirSync(log)
  process.kill(own.pid, 'SIGCONT')
  await driver.kill()
  await until('the log writer ends with it', () => !isAlive(own))
})
