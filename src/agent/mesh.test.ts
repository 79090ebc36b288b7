import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import type { Message } from './agent-ports.ts'
import { WebSocketMesh } from './mesh.ts'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one()
})

/** Linked to one another, all on the same port of addresses of their own, as agents are. */
async function meshes(names: readonly string[]) {
  const nodes = names.map((name, index) => ({ name, address: `127.93.4.${index + 1}`, zone: name, region: 'default' }))
  const heard = new Map(names.map((name) => [name, [] as { from: string; message: Message }[]]))
  let port = 0
  const made = []
  const linked: Promise<unknown>[] = []
  const servers = nodes.map(() => createServer())
  for (const [index, server] of servers.entries()) {
    await new Promise<void>((resolve) => server.listen(port, nodes[index]?.address, resolve))
    port = (server.address() as AddressInfo).port
    undo.push(() => new Promise((resolve) => server.close(resolve)))
  }
  for (const [index, { name }] of nodes.entries()) {
    const peers = nodes.filter((node) => node.name !== name)
    const mesh = new WebSocketMesh({ self: name, peers, port, token: 'secret', tell: () => {} })
    undo.push(() => mesh.close())
    mesh.answer(servers[index] as (typeof servers)[number])
    mesh.onMessage((from, message) => heard.get(name)?.push({ from, message }))
    let left = peers.length
    linked.push(new Promise<void>((resolve) => mesh.onLink(() => --left === 0 && resolve())))
    made.push(mesh)
  }
  await Promise.all(linked)
  return { made, heard }
}

test('every peer hears a broadcast as it was said, whatever its length and its characters', async () => {
  const { made, heard } = await meshes(['a', 'b', 'c'])
  const long = Array.from({ length: 9_000 }, (_, n) => `größe-${n}`)
  const said: Message[] = [
    { kind: 'beat', suspects: [], abstains: false },
    { kind: 'beat', suspects: long.slice(0, 20), abstains: true },
    { kind: 'beat', suspects: long, abstains: false },
    { kind: 'look' },
  ]
  for (const message of said) made[0]?.broadcast(message)
  const expected = said.map((message) => ({ from: 'a', message }))
  await expect.poll(() => [heard.get('b'), heard.get('c')], { timeout: 20_000 }).toEqual([expected, expected])
  expect(heard.get('a')).toEqual([])
})
