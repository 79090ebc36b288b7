import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { choosePort, firstPort, requirePort } from './instance-port.ts'

describe('ports', () => {
  it('the search begins at a place that is always the same for an instance, and spread over the range', () => {
    expect(firstPort('shop', 'a', 'web')).toBe(firstPort('shop', 'a', 'web'))
    const firsts = new Set<number>()
    for (let n = 0; n < 200; n += 1) {
      const port = firstPort('shop', `node${n}`, 'web')
      expect(port).toBeGreaterThanOrEqual(20_000)
      expect(port).toBeLessThan(30_000)
      firsts.add(port)
    }
    expect(firsts.size).toBeGreaterThan(180)
  })

  it('one that is taken is passed over, and preferred only while it is free', async () => {
    const first = await choosePort('127.0.0.1', null, 24_321)
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(first, '127.0.0.1', resolve))
    try {
      expect(await choosePort('127.0.0.1', null, first)).not.toBe(first)
      expect(await choosePort('127.0.0.1', first, first)).not.toBe(first)
      await expect(requirePort('127.0.0.1', first)).rejects.toMatchObject({ code: 'UND_PORT_TAKEN' })
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
    expect(await choosePort('127.0.0.1', first, 20_000)).toBe(first)
  })

  it('the last port of the range is followed by the first', async () => {
    const port = await choosePort('127.0.0.1', null, 29_999)
    expect(port).toBeGreaterThanOrEqual(20_000)
    expect(port).toBeLessThan(30_000)
  })

  it('an address that is not of this machine is an error of its own', async () => {
    await expect(requirePort('192.0.2.1', 20_000)).rejects.toMatchObject({ code: 'UND_ADDRESS_NOT_LOCAL' })
  })
})
