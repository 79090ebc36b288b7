/**
 * Where the nodes of a test stand. As root on a machine that has them: each in a network namespace of its own, joined by a
 * bridge, so that a cable can be pulled in silence. Else: loopback addresses, and nothing can be cut.
 *
 * A cut is a wrong hardware address for the other host: frames go out and no host takes them. Nothing is refused, no connection is
 * told, exactly as with a switch that died.
 */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import process from 'node:process'

export interface Hosts {
  readonly canCut: boolean
  address(node: string): string
  /** What stands before a command that is to run on that node's host. */
  enter(node: string): readonly string[]
  /** From now on nothing gets from one of them to the other; resolved by what is returned. */
  cut(one: string, other: string): () => void
  close(): void
}

/** `test` stands for the host that the test itself runs on. */
export const TEST_HOST = 'test'

export function makeHosts(nodes: readonly string[], plain = false): Hosts {
  if (plain || process.getuid?.() !== 0) return loopback(nodes)
  const hosts = new Namespaces(nodes)
  try {
    hosts.open()
    return hosts
  } catch {
    hosts.close() // no bridges, no namespaces or no `ip` here: then nothing can be cut
    return loopback(nodes)
  }
}

function loopback(nodes: readonly string[]): Hosts {
  const prefix = `127.${randomInt(100, 250)}.${randomInt(1, 250)}`
  return {
    canCut: false,
    address: (node) => `${prefix}.${11 + nodes.indexOf(node)}`,
    enter: () => [],
    cut: () => () => undefined,
    close: () => undefined,
  }
}

const NOBODY = '02:00:00:00:00:00'

class Namespaces implements Hosts {
  readonly canCut = true
  /** Two faults at once may cut one cable: it is whole again when both are over. */
  readonly #cuts = new Map<string, number>()
  readonly #nodes: readonly string[]
  /** Interfaces have names of at most 15 letters. */
  readonly #name = `und${process.pid.toString(36)}`
  readonly #prefix = `10.${randomInt(100, 250)}.${randomInt(1, 250)}`

  constructor(nodes: readonly string[]) {
    this.#nodes = nodes
  }

  open(): void {
    ip('link', 'add', this.#bridge, 'type', 'bridge')
    ip('addr', 'add', `${this.address(TEST_HOST)}/24`, 'dev', this.#bridge)
    ip('link', 'set', this.#bridge, 'up')
    for (const node of this.#nodes) {
      const [space, outside] = [this.#space(node), `${this.#name}v${this.#nodes.indexOf(node)}`]
      ip('netns', 'add', space)
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
      ip('link', 'set', outside, 'master', this.#bridge, 'up')
      ip('-n', space, 'link', 'set', 'lo', 'up')
      ip('-n', space, 'addr', 'add', `${this.address(node)}/24`, 'dev', 'eth0')
      ip('-n', space, 'link', 'set', 'eth0', 'up')
    }
  }

  address(node: string): string {
    return `${this.#prefix}.${node === TEST_HOST ? 1 : 11 + this.#nodes.indexOf(node)}`
  }

  enter(node: string): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.#space(node)}`]
  }

  cut(one: string, other: string): () => void {
    const ways = [
      [one, other],
      [other, one],
    ] as const
    const count = (way: readonly [string, string], more: number) => {
      const cuts = (this.#cuts.get(way.join()) ?? 0) + more
      this.#cuts.set(way.join(), cuts)
      return cuts
    }
    for (const way of ways) {
      count(way, 1)
      const [from, to] = way
      this.#neighbour(from, 'replace', this.address(to), 'lladdr', NOBODY, 'nud', 'permanent')
    }
    return () => {
      for (const way of ways) if (count(way, -1) === 0) this.#neighbour(way[0], 'del', this.address(way[1]))
    }
  }

  close(): void {
    for (const node of this.#nodes) tolerant('netns', 'del', this.#space(node))
    tolerant('link', 'del', this.#bridge)
  }

  #neighbour(from: string, verb: string, ...args: readonly string[]): void {
    if (from === TEST_HOST) ip('neigh', verb, ...args, 'dev', this.#bridge)
    else ip('-n', this.#space(from), 'neigh', verb, ...args, 'dev', 'eth0')
  }

  get #bridge(): string {
    return `${this.#name}b`
  }

  #space(node: string): string {
    return `${this.#name}${node}`
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function tolerant(...args: readonly string[]): void {
  try {
    ip(...args)
  } catch {
    // It was never made.
  }
}
