/** A port for the server that nobody else uses now: chosen once, and kept for as long as the member exists. */
import { createServer } from 'node:net'
import { UnderstudyError } from '../../errors.ts'
import type { Random } from '../../lib/random.ts'

const FIRST = 20_000
const COUNT = 10_000
const TRIES = 50

export async function choosePort(address: string, random: Random): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = FIRST + Math.floor(random() * COUNT)
    if (await isFree(address, port)) return port
  }
  throw new UnderstudyError('UND_PORT_TAKEN', `no free port on ${address} was found in ${TRIES} tries`)
}

function isFree(address: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') return resolve(false)
      if (error.code !== 'EADDRNOTAVAIL') return reject(error)
      reject(new UnderstudyError('UND_ADDRESS_NOT_LOCAL', `${address} does not belong to this machine`))
    })
    server.listen(port, address, () => server.close(() => resolve(true)))
  })
}
