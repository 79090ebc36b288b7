import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { expect, it } from 'vitest'
import { httpCheck } from './health-check.ts'
import { addressText, listeningAddresses } from './listening-ports.ts'

it('reads the addresses of the kernel', () => {
  expect(addressText('0100007F:1F90')).toBe('127.0.0.1:8080')
  expect(addressText('00000000:0BB8')).toBe('0.0.0.0:3000')
  expect(addressText('00000000000000000000000000000000:0BB8')).toBe('[::]:3000')
  expect(addressText('00000000000000000000000001000000:0050')).toBe('[::1]:80')
  expect(addressText('0000000000000000FFFF00000100007F:0050')).toBe('127.0.0.1:80')
})

it('finds where a process of a group listens', async () => {
  const program =
    "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })"
  const child = spawn('/bin/sh', ['-c', `"${process.execPath}" -e "$PROGRAM" & wait`], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PROGRAM: program },
  })
  try {
    const port = await new Promise<string>((resolve) =>
      child.stdout.once('data', (chunk) => resolve(String(chunk).trim())),
    )
    expect(listeningAddresses(child.pid ?? 0)).toEqual([`127.0.0.1:${port}`])
  } finally {
    process.kill(-(child.pid ?? 0), 'SIGKILL')
  }
})

it('a refused health check names the address that was asked, and where the program does listen', async () => {
  const taken = createServer()
  const port = await new Promise<number>((resolve) => {
    taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port))
  })
  await new Promise((resolve) => taken.close(resolve)) // free again: a connection is refused
  const target = { host: '127.0.0.1', port, path: '/healthz', timeoutMs: 2_000 }
  expect((await httpCheck({ ...target, listens: () => ['127.0.0.1:3000'] })()).note).toBe(
    `GET http://127.0.0.1:${port}/healthz: connection refused; it listens on 127.0.0.1:3000: let it listen on $HOST:$PORT`,
  )
  expect((await httpCheck({ ...target, listens: () => [] })()).note).toContain('and it listens nowhere')
})
