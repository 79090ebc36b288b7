/**
 * The contract of the driver port, on real processes: once with an HTTP check, once with none.
 *
 * Exercises: drivers/process. Engines: none.
 */
import { afterEach, describe, it } from 'vitest'
import { type DriverSubject, driverContract } from '../../src/drivers/contract/driver-contract.ts'
import { processState } from '../../src/lib/proc.ts'
import { ProcessPlace, until, WEB, worker } from './process-place.ts'

let place: ProcessPlace | undefined
afterEach(() => place?.close())

function subject(opened: ProcessPlace): DriverSubject {
  place = opened
  return {
    open: () => opened.open(),
    passUntil: (done) => until('', done).then(() => true, done),
    endByItself: (pid) => void process.kill(pid, 'SIGKILL'),
    freeze: (pid) => void process.kill(pid, 'SIGSTOP'),
    thaw: (pid) => void process.kill(pid, 'SIGCONT'),
    isRunning: (pid) => !['Z', 'X', undefined].includes(processState(pid)?.letter),
  }
}

const SUBJECTS: readonly [string, () => ProcessPlace][] = [
  ['asked by HTTP', () => new ProcessPlace({ run: WEB, health: { http: '/healthz', exec: null } })],
  ['without a check', () => new ProcessPlace({ run: worker() })],
]

for (const [name, open] of SUBJECTS) {
  describe(`the process driver keeps the contract, ${name}`, () => {
    for (const { name, run } of driverContract) it(name, () => run(subject(open())))
  })
}
