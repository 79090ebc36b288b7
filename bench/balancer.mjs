/**
 * The front door's price, measured in one run: requests a second through it as a share of what the same instances give
 * without it (in turns, so that a noisy neighbour hits both), the processor time of one request in the balancer, and what it
 * costs when no client calls.
 *
 *   npm run -s build && node bench/balancer.mjs [--against DIST] [--rounds 5]
 *
 * `--against`: the `dist` folder of another build, whose balancer is measured in the same turns.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { whenInterrupted } from './interrupted.mjs'

const CONNECTIONS = 32
const ROUND_MS = 3_000
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
    const { values } = parseArgs({ options: { against: { type: 'string' }, rounds: { type: 'string', default: '5' } } })
    const balancers = [await startBalancer('this build', resolve(import.meta.dirname, '../dist'), folder, start)]
    if (values.against !== undefined)
      balancers.push(await startBalancer('the other', resolve(values.against), folder, start))
    for (const bytes of [12, 16_384]) await compare(balancers, start, bytes, Number(values.rounds))
    for (const balancer of balancers) await idle(balancer, start)
  } finally {
    goOn()
    end()
  }
}

async function startBalancer(name, dist, folder, start) {
  const [socket, saved] = ['sock', 'json'].map((ext) => join(folder, `${name.replaceAll(' ', '-')}.${ext}`))
  const { pid } = start(join(dist, 'balancer/main.js'), '--socket', socket, '--saved', saved)
  const file = ['control-protocol.js', 'control.js'].find((one) => existsSync(join(dist, 'balancer', one)))
  const { connectBalancer } = await import(join(dist, 'balancer', file))
  return { name, pid, connect: (listener) => connectBalancer(socket, listener) }
}

async function compare(balancers, start, bytes, rounds) {
  const direct = Number(await firstLine(start(import.meta.filename, 'instance', String(bytes))))
  const ways = []
  for (const balancer of balancers) ways.push({ balancer, port: (await openRoutes(balancer, [[direct]]))[0] })
  const measure = async (port) =>
    JSON.parse(await firstLine(start(import.meta.filename, 'client', String(port), String(ROUND_MS))))
  const shares = ways.map(() => [])
  const costs = ways.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const plain = await measure(direct)
    for (const [index, { balancer, port }] of ways.entries()) {
      const before = cpuMs(balancer.pid)
      const proxied = await measure(port)
      const microseconds = (1_000 * (cpuMs(balancer.pid) - before)) / ((proxied.perSecond * ROUND_MS) / 1_000)
      shares[index].push(proxied.perSecond / plain.perSecond)
      costs[index].push(microseconds)
      console.log(
        `${bytes} B: direct ${plain.perSecond}/s, ${balancer.name} ${proxied.perSecond}/s, ${microseconds.toFixed(0)} µs each, failed ${proxied.failed}`,
      )
    }
  }
  for (const [index, { balancer }] of ways.entries())
    console.log(
      `${bytes} B, ${CONNECTIONS} connections, ${balancer.name}: share ${median(shares[index]).toFixed(2)}, ${median(costs[index]).toFixed(0)} µs of a core each (medians of ${rounds})`,
    )
}

/** Three services with three instances each, probed at the default pace, and no clients. */
async function idle(balancer, start) {
  const services = []
  for (let service = 0; service < 3; service++) {
    const ports = []
    for (let count = 0; count < 3; count++)
      ports.push(Number(await firstLine(start(import.meta.filename, 'instance', '12'))))
    services.push(ports)
  }
  await openRoutes(balancer, services)
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const before = cpuMs(balancer.pid)
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  const share = (100 * (cpuMs(balancer.pid) - before)) / IDLE_MS
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${balancer.pid}/status`, 'utf8'))?.[1]
  console.log(
    `${balancer.name}, idle, 3 services with 3 targets each: ${share.toFixed(2)} % of a core, ${Math.round(rss / 1024)} MB`,
  )
}

async function openRoutes(balancer, services) {
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
  const link = balancer.connect({
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
