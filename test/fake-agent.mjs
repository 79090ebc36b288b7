/**
 * An agent for tests of the supervisor of agents: it has an identity file, a balancer and one instance that outlive it,
 * and an API that knows one call. `stop` is a wish that all of them see, as in a real cluster.
 *
 *     node fake-agent.mjs NODE STATE_DIR HOW      how: well | dies | deaf (never ends)
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [node, stateDir, how] = process.argv.slice(2)
const folder = join(stateDir, 'nodes', node)
const { spec, leaving } = JSON.parse(readFileSync(join(stateDir, 'cluster.json'), 'utf8')).config
const token = readFileSync(join(stateDir, 'token'), 'utf8').trim()
const wish = join(stateDir, 'stop-wish')

if (how === 'dies') {
  console.error('cannot go on: the fake is broken on purpose')
  process.exit(3)
}

mkdirSync(join(folder, 'instances'), { recursive: true })
write('agent.json', identify(process.pid))
const { address } = [...spec.nodes, ...leaving].find(({ name }) => name === node)
const api = createServer((request, response) => {
  const allowed =
    request.headers.authorization === `Bearer ${token}` && request.method === 'POST' && request.url === '/v1/stop'
  response.writeHead(allowed ? 202 : 400, { 'content-type': 'application/json' })
  if (allowed) writeFileSync(wish, '')
  response.end(
    JSON.stringify(allowed ? { id: '1', what: 'stop' } : { error: { code: 'UND_BAD_REQUEST', message: 'no' } }),
  )
})
// It answers before anything else of it can be found: then a process that finds all of it may call.
await new Promise((resolve) => api.listen(spec.apiPort, address, resolve))

// A shell with a child of its own: killing the shell alone would leave the child.
keep('instances/web.json', 'sleep 1000 & wait', { UNDERSTUDY_SERVICE: 'web' })

const door = JSON.stringify([spec.services[0].endpoints[0].port, address])
keep('balancer.json', `exec ${process.execPath} -e 'require("net").createServer().listen(...${door})'`, {})
if (how !== 'deaf') {
  setInterval(() => {
    if (!existsSync(wish)) return
    for (const file of ['balancer.json', 'instances/web.json']) {
      const { pid } = read(file)
      if (isThere(pid)) process.kill(-pid, 'SIGTERM')
    }
    rmSync(join(folder, 'agent.json'))
    process.exit(0)
  }, 20)
}

function keep(file, script, env) {
  const found = read(file)
  if (found && identify(found.pid)?.startTime === found.startTime) return
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: 'ignore', env: { ...process.env, ...env } })
  child.unref()
  write(file, identify(child.pid))
}

function identify(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : { pid, startTime: Number(fields[19]) }
  } catch {
    return undefined // it is gone
  }
}

function isThere(pid) {
  return identify(pid) !== undefined
}

function read(file) {
  const path = join(folder, file)
  const value = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
  return value?.identity ?? value
}

function write(file, identity) {
  // The instance's identity lies one level deeper, as drivers write it.
  writeFileSync(join(folder, file), JSON.stringify(file.startsWith('instances') ? { identity } : identity))
}
