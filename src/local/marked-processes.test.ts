/** What runs is found and ended although the state folder is gone, and nothing else is touched. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { identify, isAlive } from '../lib/proc.ts'
import { until } from '../lib/until.ts'
import { StateFolder } from './cluster-folder.ts'
import { stopLocal } from './end-cluster.ts'
import { LocalNode } from './local-node.ts'
import { NODE_FOLDER_MARK } from './marked-processes.ts'
import { whatIsLeft } from './stop-cluster.ts'

let folder: string
let state: StateFolder
const children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-marked-'))
  state = new StateFolder(join(folder, '.understudy'))
  state.create()
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function start(env: Record<string, string>, ...words: string[]): ChildProcess {
  const child = spawn('/bin/sh', ['-c', 'sleep 300 & wait', ...words], {
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env.PATH ?? '', ...env },
  })
  children.push(child)
  return child
}

const identityOf = (child: ChildProcess) => identify(child.pid ?? 0)
const isRunning = (child: ChildProcess) => identityOf(child) !== undefined

it('finds an instance by the mark of its node, and no process that only names the folder', async () => {
  const ours = start({ [NODE_FOLDER_MARK]: state.node('a'), UNDERSTUDY_SERVICE: 'web' })
  start({ [NODE_FOLDER_MARK]: join(folder, 'other', 'nodes', 'a'), UNDERSTUDY_SERVICE: 'web' })
  start({}, state.node('a'))
  rmSync(state.path, { recursive: true })
  await until(
    { clock: systemClock, everyMs: 10, withinMs: 5_000, what: 'the shell' },
    async () => whatIsLeft(state).length > 0,
  )
  expect(whatIsLeft(state)).toEqual([{ node: 'a', what: 'web', identity: identityOf(ours) }])
})

it('down ends what runs although the state folder was removed, and leaves the rest', async () => {
  const ours = start({ [NODE_FOLDER_MARK]: state.node('a'), UNDERSTUDY_SERVICE: 'web' })
  const other = start({ [NODE_FOLDER_MARK]: join(folder, 'other', 'nodes', 'a') })
  rmSync(state.path, { recursive: true })
  await until(
    { clock: systemClock, everyMs: 10, withinMs: 5_000, what: 'the shell' },
    async () => whatIsLeft(state).length > 0,
  )
  const report = await stopLocal(state.path, { withinMs: 2_000 })
  expect(report).toMatchObject({ told: false })
  expect(whatIsLeft(state)).toEqual([])
  expect([isRunning(ours), isRunning(other)]).toEqual([false, true])
})

it('an agent that up starts has the mark', async () => {
  const command = ['/bin/sh', '-c', 'sleep 300 & wait', 'agent', '--node']
  const node = new LocalNode({ name: 'a', folder: state.node('a'), command, clock: systemClock, tell: () => undefined })
  node.start()
  const { agent } = node
  node.letGo()
  rmSync(state.path, { recursive: true })
  await until(
    { clock: systemClock, everyMs: 10, withinMs: 5_000, what: 'the agent' },
    async () => whatIsLeft(state).length > 0,
  )
  expect(whatIsLeft(state)).toEqual([{ node: 'a', what: 'agent', identity: agent }])
  await stopLocal(state.path, { withinMs: 1_000 })
  // A process that was killed loses its environment, by which it is found, a moment before it has ended.
  const hasEnded = async () => !agent || !isAlive(agent)
  await until({ clock: systemClock, everyMs: 10, withinMs: 5_000, what: 'its end' }, hasEnded)
})
