/**
 * A server's port is found when its member is made and kept. Another program may listen there when the server is to start
 * again, after a reboot or between two looks: the database must not stay down for that.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined
const strangers: Server[] = []

afterEach(async () => {
  await trio?.end()
  trio = undefined
  for (const stranger of strangers.splice(0)) await new Promise((resolve) => stranger.close(resolve))
})

async function begin(t: Trio): Promise<Trio> {
  trio = t
  await t.begin()
  return t
}

/** Its server ends, and another program takes its port. */
async function loseThePort(t: Trio, node: string): Promise<number> {
  const { port } = t.observe(node)
  await t.driver(node).kill()
  const stranger = createServer((socket) => socket.destroy())
  strangers.push(stranger)
  await new Promise<void>((resolve, reject) => {
    stranger.once('error', reject)
    stranger.listen(port, '127.0.0.1', resolve)
  })
  return port
}

test('a standby whose port was taken starts on another one, and says so', async () => {
  const t = await begin(new Trio())
  const before = await loseThePort(t, 'b')
  const notes: string[] = []
  t.driver('b').onChange(() => notes.push(t.driver('b').observe().note))
  await t.driver('b').start({ role: 'standby', term: 0 })
  expect(t.observe('b').port).not.toBe(before)
  expect(notes.join('\n')).toContain(`another program listens on 127.0.0.1:${before}`)
  await t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))
  await t.restartAgent('b') // it is on the record: the next agent finds it there
  await t.until('it streams', () => t.observe('b').replica.receivingFrom === 'a')
})

test('a primary whose port was taken starts on another one, and its standbys come there', async () => {
  const t = await begin(new Trio())
  const before = await loseThePort(t, 'a')
  const started = t.driver('a').start({ role: 'primary', term: 1 })
  await t.until('another port', () => t.observe('a').port !== before)
  await t.until('it runs', () => t.observe('a').state === 'running')
  for (const node of ['b', 'c']) await t.driver(node).follow(t.quorum(1, 'a'), t.address('a'))
  await started
  await t.until('the rule is durable', () => t.observe('a').replica.quorumDurable)
})

test('a port that the config fixes is waited for, and the program that has it is named', async () => {
  const t = await begin(new Trio({ nodes: ['a'], options: { port: 29_431 } }))
  const port = await loseThePort(t, 'a')
  const started = t.driver('a').start({ role: 'primary', term: 1 })
  await expect(started).rejects.toMatchObject({ code: 'UND_PORT_TAKEN', message: expect.stringContaining(`:${port}`) })
})
