/**
 * Which port an instance gets. Chosen ports come from 20000-29999: below the range from which the kernel takes the
 * local port of outgoing connections (32768 upwards by default), so no client's socket can be in the way. A hash of its
 * identity says where to begin, so that an instance mostly has the same port at every start without a list of ports.
 *
 * Whether a port is free is found out by listening on it for a moment. Another program may take it between that moment
 * and the instance's own listen, or while the instance is down; then it ends, and the next start finds another port.
 */
import { createServer } from 'node:net'
import { UnderstudyError } from '../errors.ts'

const LOWEST = 20_000
const COUNT = 10_000

/** Where the search begins: FNV-1a (Fowler, Noll, Vo; 32 bits) of the instance's full name. */
export function firstPort(cluster: string, node: string, service: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(`${cluster}/${node}/${service}`)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return LOWEST + (hash % COUNT)
}

/** The first free port on `address`: `preferred` if it is, else from `first` upwards and around. */
export async function choosePort(address: string, preferred: number | null, first: number): Promise<number> {
  if (preferred !== null && (await isFree(address, preferred))) return preferred
  for (let step = 0; step < COUNT; step += 1) {
    const port = LOWEST + ((first - LOWEST + step) % COUNT)
    if (await isFree(address, port)) return port
  }
  throw new UnderstudyError('UND_PORT_TAKEN', `every port from ${LOWEST} to 29999 on ${address} is taken`)
}

/** Rejects when another program listens there. */
export async function requirePort(address: string, port: number): Promise<number> {
  if (await isFree(address, port)) return port
  throw new UnderstudyError(
    'UND_PORT_TAKEN',
    `another program listens on ${address}:${port}; "ss -ltnp sport = :${port}" shows which one`,
  )
}

function isFree(address: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const trial = createServer()
    trial.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else if (error.code !== 'EADDRNOTAVAIL') reject(error)
      else reject(new UnderstudyError('UND_ADDRESS_NOT_LOCAL', `${address} is not an address of this machine`))
    })
    trial.listen({ host: address, port, exclusive: true }, () => trial.close(() => resolve(true)))
  })
}
