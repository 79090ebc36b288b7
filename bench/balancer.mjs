/**
 * The front door's price, measured in one run: requests a second through it as a share of what the same instances give
 * without it (in turns, so that a noisy neighbour hits both), and what the door costs when nobody calls.
 *
 *   npm run -s build && node bench/balancer.mjs
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectBalancer } from '../dist/balancer/control-protocol.js'
import { whenInterrupted } from './interrupted.mjs'

const CONNECTIONS = 32
const ROUND_MS = 3_000
const ROUNDS = 5
const IDLE_MS = 20_000

if (process.argv[2] === 'instance') serve(Number(process.argv[3]))
else if (process.argv[2] === 'client') load(process.argv.slice(3).map(Number))
else await main()

/** An instance: answers with so many bytes. */
function serve(bytes) {
  const body = Buffer.alloc(bytes, 'x')
  const server = createServer((_request, response) => {
    response.setHeader('Content-Length', bytes)
    response.end(body)
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
}

/** A client: keep-alive connections that each ask again as soon as they are answered. */
function load([port, durationMs]) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  let answered = 0
  let failed = 0
  const untilMs = performance.now() + durationMs
  const ask = () => {
    if (performance.now() > untilMs) return
    const outgoing = request({ host: '127.0.0.1', port, agent }, (incoming) => {
      incoming.resume()
      incoming.on('end', () => {
        answered += 1
        ask()
      })
    })
    outgoing.on('error', () => {
      failed += 1
      ask()
    })
    outgoing.end()
  }
  for (let count = 0; count < CONNECTIONS; count++) ask()
  setTimeout(() => {
    console.log(JSON.stringify({ perSecond: Math.round((answered * 1_000) / durationMs), failed }))
    process.exit(0)
  }, durationMs + 100)
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-bench-'))
  const children = []
  const start = (...args) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    return child
  }
  const end = () => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  const goOn = whenInterrupted(end)
  try {
    const door = start(
      'dist/balancer/main.js',
      '--socket',
      join(folder, 'door.sock'),
      '--saved',
      join(folder, 'door.json'),
    )
    for (const bytes of [12, 16_384]) await compare(folder, start, bytes)
    await idle(folder, start, door)
  } finally {
    goOn()
    end()
  }
}

async function compare(folder, start, bytes) {
  const direct = Number(await firstLine(start(import.meta.filename, 'instance', String(bytes))))
  const through = await openRoutes(folder, [[direct]])
  const shares = []
  for (let round = 0; round < ROUNDS; round++) {
    const plain = JSON.parse(await firstLine(start(import.meta.filename, 'client', String(direct), String(ROUND_MS))))
    const proxied = JSON.parse(
      await firstLine(start(import.meta.filename, 'client', String(through[0]), String(ROUND_MS))),
    )
    shares.push(proxied.perSecond / plain.perSecond)
    console.log(
      `${bytes} B: direct ${plain.perSecond}/s, through the door ${proxied.perSecond}/s, failed ${proxied.failed}`,
    )
  }
  console.log(`${bytes} B, ${CONNECTIONS} connections: share ${median(shares).toFixed(2)} (median of ${ROUNDS})`)
}

/** Three services with three instances each, probed at the default pace, and no clients. */
async function idle(folder, start, door) {
  const services = []
  for (let service = 0; service < 3; service++) {
    const ports = []
    for (let count = 0; count < 3; count++)
      ports.push(Number(await firstLine(start(import.meta.filename, 'instance', '12'))))
    services.push(ports)
  }
  await openRoutes(folder, services)
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const before = cpuMs(door.pid)
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  const share = (100 * (cpuMs(door.pid) - before)) / IDLE_MS
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${door.pid}/status`, 'utf8'))?.[1]
  console.log(`idle, 3 services with 3 targets each: ${share.toFixed(2)} % of a core, ${Math.round(rss / 1024)} MB`)
}

async function openRoutes(folder, services) {
  const ports = await Promise.all(services.map(() => freePort()))
  const routes = services.map((targets, index) => ({
    service: `s${index}`,
    protocol: 'http',
    purpose: 'serving',
    host: '127.0.0.1',
    port: ports[index],
    holdMs: 5_000,
    probe: { path: '/', everyMs: 250, timeoutMs: 250 },
    peers: [],
    readOnly: null,
    targets: targets.map((port) => ({ id: `t${port}`, node: 'a', host: '127.0.0.1', port, state: 'serving', term: 0 })),
  }))
  let listening = 0
  const link = connectBalancer(join(folder, 'door.sock'), {
    onMessage(message) {
      if (message.type === 'listening' && ports.includes(message.port)) listening += 1
    },
    onGone() {},
  })
  link.publish({ version: Date.now(), node: 'a', routes })
  while (listening < ports.length) await new Promise((resolve) => setTimeout(resolve, 10))
  link.close()
  return ports
}

function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10 // clock ticks are 10 ms on Linux
}

function firstLine(child) {
  return new Promise((resolve) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) resolve(text.trim())
    })
  })
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}
