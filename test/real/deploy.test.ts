/**
 * Executes what docs/deploy.md shows, in a scratch folder: the commands on the server, the script there, and the one of the CI
 * job, with `ssh` as a function of the shell. Good versions are rolled out, a bad one fails the job and is taken back, and no
 * client of the three endpoints sees a failed request.
 *
 * Exercises: api, balancer, cli, client, drivers/process, local, stores. Engines: none.
 */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { failed, type Load, startLoad } from '../../src/lib/steady-load.ts'
import { allHealthy, instancesIn, Operator, type Outcome } from './operator.ts'

const root = join(import.meta.dirname, '../..')
const PAGE = readFileSync(join(root, 'docs/deploy.md'), 'utf8')
const MAIN = join(root, 'dist/cli/main.js')

/** Says its version; a bad one ends at once. A migration signs a file. */
const web = (version: string) => `import { createServer } from 'node:http'
  if ('${version}' === 'bad') process.exit(3)
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => response.end('${version}'))
  }).listen(process.env.PORT, process.env.HOST)
  process.on('SIGTERM', () => server.close(() => process.exit(0)))`
const migrate = (version: string) =>
  `import { appendFileSync } from 'node:fs'; appendFileSync('migrated', '${version}\\n')`

let operator: Operator
let loads: Load[] = []

beforeAll(async () => {
  operator = new Operator()
  const nodes = ['a', 'b', 'c'].map((node) => `${node}: { address: '${operator.address(node)}' }`).join(', ')
  const config = block('ts', 'understudy.config.ts').replace('a: {}, b: {}, c: {}', nodes).replace("'10s'", "'500ms'")
  expect(config).toContain(nodes)
  expect(config).toContain('500ms')
  operator.write('understudy.config.ts', config)
  operator.write('release.sh', block('sh', 'release.sh'))
  operator.write('deploy.sh', block('sh', 'deploy.sh'))
  mkdirSync(join(operator.folder, 'bin'))
  operator.write('bin/npx', `#!/bin/sh\nshift\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
  chmodSync(join(operator.folder, 'bin/npx'), 0o755)
  release('releases/1', '1')
  release('releases/2', '2')
  expect(await execute(block('sh', 'on the server, once'))).toMatchObject({ code: 0 })
  await settled()
}, 120_000)

afterAll(() => operator.close())
afterEach(async () => {
  for (const load of loads) await load.stop()
  loads = []
})

/** The block of the page whose first lines name it. */
function block(language: 'ts' | 'sh', name: string): string {
  const blocks = [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(
    (match) => match[1] ?? '',
  )
  const found = blocks.filter((text) => text.split('\n').slice(0, 2).join('\n').includes(name))
  expect(found, `one block “${name}” on the page`).toHaveLength(1)
  return (found[0] ?? '').replaceAll('/srv/shop', operator.folder)
}

function release(folder: string, version: string): void {
  mkdirSync(join(operator.folder, folder), { recursive: true })
  operator.write(`${folder}/web.mjs`, web(version))
  operator.write(`${folder}/migrate.mjs`, migrate(version))
}

/** In a shell, whose `ssh HOST COMMAND` runs the command here. */
function execute(script: string): Promise<Outcome> {
  const env = { ...process.env, PATH: `${join(operator.folder, 'bin')}:${process.env.PATH}` }
  const text = `ssh() { bash -c "$2"; }; export -f ssh\n${script}`
  return new Promise((resolve) => {
    execFile('bash', ['-euo', 'pipefail', '-c', text], { cwd: operator.folder, env }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err })
    })
  })
}

/** The CI job, with this version built. */
function deploy(name: string, version: string): Promise<Outcome> {
  rmSync(join(operator.folder, 'build'), { recursive: true, force: true })
  release('build', version)
  return execute(`bash deploy.sh ${name}`)
}

function settled() {
  const isWhole = (one: { healthy: boolean }) => one.healthy
  return operator.until('all is well', (status) => allHealthy(status) && instancesIn(status, 'web').every(isWhole))
}

const urls = () => ['a', 'b', 'c'].map((node) => `http://${operator.address(node)}:8080/`)

function visit(): void {
  loads = [
    startLoad({ urls: urls(), method: 'GET', perSecond: 40 }),
    startLoad({ urls: urls(), method: 'POST', perSecond: 10 }),
  ]
}

async function expectAllServed(): Promise<void> {
  await sleep(clock, 300) // some more of them come to what is there now
  const shots = (await Promise.all(loads.map((load) => load.stop()))).flat()
  expect(shots.length).toBeGreaterThan(0)
  expect(shots.filter(failed)).toEqual([])
}

/** What every instance answers: each endpoint is asked often enough to come to all of them. */
async function versions(): Promise<string[]> {
  const answers = await Promise.all([...urls(), ...urls(), ...urls()].map(async (url) => (await fetch(url)).text()))
  return [...new Set(answers)].sort()
}

const migrated = () => readFileSync(join(operator.folder, 'migrated'), 'utf8').split('\n').slice(0, -1)

test('a new version by hand, and back', async () => {
  expect(await versions()).toEqual(['1'])
  visit()
  expect(await execute(block('sh', 'release 2 was copied'))).toMatchObject({ code: 0, err: '' })
  expect(await versions()).toEqual(['2'])
  expect(await execute(block('sh', 'back to release 1'))).toMatchObject({ code: 0, err: '' })
  await expectAllServed()
  expect(await versions()).toEqual(['1'])
}, 120_000)

test('from a CI job: a good version is rolled out, a bad one fails the job and is taken back', async () => {
  visit()
  const good = await deploy('job-42', 'good')
  expect(good, good.err).toMatchObject({ code: 0 })
  expect(await versions()).toEqual(['good'])
  expect(readlinkSync(join(operator.folder, 'current'))).toBe('releases/job-42')

  const bad = await deploy('job-43', 'bad')
  expect(bad.code, bad.out).toBe(1)
  expect(bad.err).toMatch(/the restart of web stopped after 0 of 3: the new instance of web on [abc] failed: .*code 3/)
  expect(readlinkSync(join(operator.folder, 'current'))).toBe('releases/job-42')
  await settled()
  expect(await versions()).toEqual(['good'])
  expect(migrated().slice(-2)).toEqual(['good', 'bad'])

  operator.write('build/migrate.mjs', 'process.exit(4)')
  expect(await execute('bash deploy.sh job-44')).toMatchObject({ code: 4 })
  expect(readlinkSync(join(operator.folder, 'current'))).toBe('releases/job-42')
  await expectAllServed()
}, 180_000)
