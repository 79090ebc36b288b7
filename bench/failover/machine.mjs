/** What both systems need of the machine: moments, patience, addresses, processes. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { familyOf, identify, isAlive, signal } from '../../dist/lib/proc.js'

/** The machine's monotonic clock in milliseconds: the same in every process. */
export const monoMs = () => Number(process.hrtime.bigint()) / 1e6

export async function until(what, holds, withinMs = 60_000) {
  const deadline = monoMs() + withinMs
  while (monoMs() < deadline) {
    if (await holds()) return
    await pause(25)
  }
  throw new Error(`not within ${withinMs / 1_000} s: ${what}`)
}

/** Three loopback addresses that no other program is likely to use. */
export function addresses() {
  const net = `127.${100 + Math.floor(Math.random() * 100)}.${1 + Math.floor(Math.random() * 250)}`
  return [11, 12, 13].map((last) => `${net}.${last}`)
}

export function freePort(host) {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, host, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** A process and all that it started, as it is now. */
export function family(pid) {
  const leader = identify(pid)
  return leader ? familyOf(leader) : []
}

export function signalAll(processes, name) {
  for (const one of processes) signal(one, name)
}

/** Kills these and whatever they start meanwhile, until nothing of them is left. */
export async function killAll(processes) {
  await until('the end of what was killed', () => {
    for (const { pid } of processes) signalAll(family(pid), 'SIGKILL')
    signalAll(processes, 'SIGKILL')
    return !processes.some(isAlive)
  })
}

const POSTGRES_15 = '/usr/lib/postgresql/15/bin'
export const systemPostgres = () => (existsSync(`${POSTGRES_15}/postgres`) ? POSTGRES_15 : null)
