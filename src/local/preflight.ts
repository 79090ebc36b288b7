/**
 * Before anything is started: can this machine hold the cluster at all? Each endpoint and each API address is listened
 * on for a moment, which is the only check that cannot be wrong. All complaints come at once.
 *
 * What our own processes of this state folder hold is theirs to hold: a balancer and an agent that outlived an earlier
 * `up` are taken over, not complained about.
 */
import { createServer } from 'node:net'
import type { ClusterSpec, NodeSpec } from '../core/model.ts'
import { type ErrorCode, UnderstudyError } from '../errors.ts'
import type { StateFolder } from './cluster-folder.ts'
import { findAgent, findBalancer } from './node-processes.ts'

/** Rejects with UND_ADDRESS_NOT_LOCAL, UND_PORT_TAKEN or UND_PORT_FORBIDDEN. */
export async function checkMachine(spec: ClusterSpec, state: StateFolder): Promise<void> {
  const foreign = await filterAsync(spec.nodes, async (node) => (await tryListen(node.address, 0)) === 'EADDRNOTAVAIL')
  if (foreign.length > 0) throw notLocal(foreign)

  const complaints: { code: ErrorCode; text: string }[] = []
  for (const listener of spec.nodes.flatMap((node) => listenersOf(spec, node, state))) {
    const failure = await tryListen(listener.host, listener.port)
    const where = `${listener.host}:${listener.port} (${listener.what})`
    if (failure === 'EADDRINUSE')
      complaints.push({ code: 'UND_PORT_TAKEN', text: `${where} is taken by another program` })
    else if (failure === 'EACCES')
      complaints.push({ code: 'UND_PORT_FORBIDDEN', text: `${where} may not be opened by this user` })
    else if (failure) complaints.push({ code: 'UND_PORT_TAKEN', text: `${where} cannot be listened on: ${failure}` })
  }
  const first = complaints[0]
  if (!first) return
  const ports = complaints.map(({ text }) => text).join('\n  ')
  throw new UnderstudyError(
    first.code,
    `${ports}\n  nothing was started; “ss -ltnp” shows who listens, “listen” in the config chooses another port`,
  )
}

interface Listener {
  readonly host: string
  readonly port: number
  readonly what: string
}

function listenersOf(spec: ClusterSpec, node: NodeSpec, state: StateFolder): Listener[] {
  const folder = state.node(node.name)
  const listeners: Listener[] = []
  if (!findBalancer(folder)) {
    for (const service of spec.services) {
      for (const { port } of service.endpoints) {
        listeners.push({ host: node.address, port, what: `the endpoint of ${service.name} on node ${node.name}` })
      }
    }
  }
  if (!findAgent(folder))
    listeners.push({ host: node.address, port: spec.apiPort, what: `the API of node ${node.name}` })
  return listeners
}

/** Undefined when it can be listened on, else the system's code. */
function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

async function filterAsync<T>(list: readonly T[], keep: (item: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(list.map(keep))
  return list.filter((_, index) => kept[index])
}

function notLocal(nodes: readonly NodeSpec[]): UnderstudyError {
  const names = nodes.map(({ name, address }) => `${name} (${address})`).join(', ')
  const advice =
    'to run every node on this machine leave “address” out: each node then gets a loopback address of its own'
  return new UnderstudyError('UND_ADDRESS_NOT_LOCAL', `not addresses of this machine: ${names}; ${advice}`)
}
