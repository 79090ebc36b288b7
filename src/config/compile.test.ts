import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../errors.ts'
import { type CompileContext, compileCluster } from './compile.ts'
import type { Complaint } from './complaint.ts'
import { InvalidConfig } from './complaint.ts'
import { command, http } from './define.ts'

const nodes = { a: {}, b: {}, c: {} }
const web = http({ run: 'node server.js', listen: 8080 })
const shop = { name: 'shop', nodes, services: { web } }
const context: CompileContext = {
  file: '/srv/shop/understudy.config.ts',
  isLocal: (address) => address.startsWith('127.'),
}

function complaintsOf(raw: unknown): readonly Complaint[] {
  try {
    compileCluster(raw, context)
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error
    expect(hasCode(error, 'UND_CONFIG_INVALID')).toBe(true)
    return error.complaints
  }
  return []
}

const pathsOf = (raw: unknown) => complaintsOf(raw).map(({ path }) => path)
const service = (options: object) => ({
  ...shop,
  services: { web, x: { kind: 'command', options: { run: 'x', ...options } } },
})

describe('what a config compiles to', () => {
  test('every default is filled in', () => {
    expect(compileCluster(shop, context)).toMatchInlineSnapshot(`
      {
        "spec": {
          "apiPort": 7400,
          "name": "shop",
          "nodes": [
            {
              "address": "127.0.0.11",
              "name": "a",
              "region": "default",
              "zone": "a",
            },
            {
              "address": "127.0.0.12",
              "name": "b",
              "region": "default",
              "zone": "b",
            },
            {
              "address": "127.0.0.13",
              "name": "c",
              "region": "default",
              "zone": "c",
            },
          ],
          "services": [
            {
              "endpoints": [
                {
                  "port": 8080,
                  "protocol": "http",
                  "purpose": "serving",
                },
              ],
              "instances": 2,
              "kind": "http",
              "name": "web",
              "needs": [],
              "nodes": [],
              "objectives": {},
              "options": {
                "cwd": "/srv/shop",
                "env": {},
                "health": {
                  "exec": null,
                  "http": "/",
                },
                "limits": {},
                "logBytes": 10485760,
                "logFiles": 3,
                "port": null,
                "promote": null,
                "run": "node server.js",
                "stopSignal": "SIGTERM",
                "user": null,
              },
              "redundancy": "active-active",
              "standby": "cold",
              "timing": {
                "graceMs": 10000,
                "holdMs": 5000,
                "leaseMs": 2000,
                "probeEveryMs": 250,
                "probeTimeoutMs": 250,
                "settleMs": 300,
                "startWithinMs": 30000,
                "unhealthyForMs": 3000,
              },
              "traits": {
                "canRewind": false,
                "replicates": false,
                "reportsPosition": false,
                "singleWriter": false,
              },
            },
          ],
          "store": {
            "kind": "embedded",
          },
          "timing": {
            "heartbeatMs": 100,
            "lostAfterMs": 2000,
            "staggerMs": 150,
            "suspectCeilingMs": 600,
            "suspectFloorMs": 300,
          },
        },
        "warnings": [],
      }
    `)
  })

  test('every option arrives', () => {
    const options = {
      run: ['node', 'mailer.js'],
      redundancy: 'active-passive',
      instances: 3,
      standby: 'warm',
      promote: { http: '/promote' },
      check: { exec: './ok.sh' },
      listen: 2525,
      port: 9000,
      cwd: 'mailer',
      env: { LOG_LEVEL: 'debug' },
      user: 'mail',
      stopSignal: 'SIGINT',
      limits: { openFiles: 1024, memory: '1GiB', cpuTime: '1m' },
      log: { size: '1MiB', files: 0 },
      needs: ['web'],
      nodes: ['a', 'b', 'c'],
      objectives: { rto: '1s', rpo: 0 },
      lease: '3s',
    } as const
    const { spec } = compileCluster({ ...shop, services: { web, mailer: command(options) } }, context)
    expect(spec.services[1]).toMatchObject({
      redundancy: 'active-passive',
      standby: 'warm',
      traits: { singleWriter: true },
      needs: ['web'],
      nodes: ['a', 'b', 'c'],
      endpoints: [{ purpose: 'primary', protocol: 'tcp', port: 2525 }],
      objectives: { rtoMs: 1000, rpo: 0 },
      timing: { leaseMs: 3000, graceMs: 10_000 },
      options: {
        run: ['node', 'mailer.js'],
        cwd: '/srv/shop/mailer',
        env: { LOG_LEVEL: 'debug' },
        user: 'mail',
        stopSignal: 'SIGINT',
        limits: { openFiles: 1024, memoryBytes: 2 ** 30, cpuSeconds: 60 },
        port: 9000,
        health: { http: null, exec: './ok.sh' },
        promote: { http: '/promote' },
        logBytes: 2 ** 20,
        logFiles: 0,
      },
    })
  })

  test('the limits of an endpoint: only those that were given, in milliseconds', () => {
    const endpoint = { maxRequests: 10, maxStreams: 20, headTimeout: '1s', bodyTimeout: '2s', answerTimeout: '5m' }
    const web = http({ run: 'x', listen: 80, endpoint: { ...endpoint, streamTimeout: '2h' } })
    const queue = command({ run: 'x', listen: 90, endpoint: { maxConnections: 5, idleTimeout: '1h' } })
    const { spec } = compileCluster({ ...shop, services: { web, queue } }, context)
    expect(spec.services.map(({ endpoints }) => endpoints[0]?.limits)).toEqual([
      { requests: 10, streams: 20, headMs: 1_000, bodyMs: 2_000, answerMs: 300_000, idleMs: 7_200_000 },
      { requests: 5, idleMs: 3_600_000 },
    ])
  })

  test('the path that an HTTP service is asked', () => {
    const asked = http({ run: 'x', listen: 80, healthy: '/healthz', check: { exec: ['./ok.sh'] } })
    const { spec } = compileCluster({ ...shop, services: { asked } }, context)
    expect(spec.services[0]?.options.health).toEqual({ http: '/healthz', exec: ['./ok.sh'] })
  })

  test('it is frozen all the way down, plain JSON, and the caller keeps what is theirs', () => {
    const raw = {
      name: 'shop',
      nodes: { a: {} },
      services: { web: { kind: 'http', options: { run: 'x', listen: 80 } } },
    }
    const { spec } = compileCluster(raw, context)
    expect(Object.isFrozen(spec.services[0]?.options)).toBe(true)
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
    expect(Object.isFrozen(raw.nodes)).toBe(false)
  })

  test('the closest number wins: service, timing, preset', () => {
    const timing = { lease: '3s', grace: 4000, heartbeat: '200ms', suspectFloor: '500ms' }
    const { spec } = compileCluster({ ...service({ grace: '1m' }), preset: 'wan', timing }, context)
    expect(spec.timing).toMatchObject({ heartbeatMs: 200, suspectFloorMs: 500, suspectCeilingMs: 3000 })
    expect(spec.services[0]?.timing).toMatchObject({ leaseMs: 3000, graceMs: 4000, holdMs: 15_000 })
    expect(spec.services[1]?.timing).toMatchObject({ leaseMs: 3000, graceMs: 60_000, holdMs: 15_000 })
  })

  test('addresses are given in order of writing, around those that are written', () => {
    const written = { a: {}, b: { address: '127.0.0.12' }, c: {}, d: { address: '127.0.0.11' } }
    const { spec } = compileCluster({ ...shop, nodes: written }, context)
    expect(spec.nodes.map(({ address }) => address)).toEqual(['127.0.0.13', '127.0.0.12', '127.0.0.14', '127.0.0.11'])
  })

  test('keeps those of nodes that run, so that a node that comes or goes moves no other', () => {
    const addresses = { a: '127.0.0.11', b: '127.0.0.12', c: '127.0.0.13' }
    const { spec } = compileCluster({ ...shop, nodes: { d: {}, c: {}, b: {} } }, { ...context, addresses })
    expect(spec.nodes.map(({ name, address }) => `${name} ${address}`)).toEqual([
      'd 127.0.0.14',
      'c 127.0.0.13',
      'b 127.0.0.12',
    ])
  })

  test('declared by functions or written as JSON: the same', () => {
    const json = JSON.parse(JSON.stringify(shop))
    expect(compileCluster(json, context)).toEqual(compileCluster(shop, context))
    const { traits: _, ...bare } = json.services.web
    expect(compileCluster({ ...json, services: { web: bare } }, context)).toEqual(compileCluster(shop, context))
  })

  test('one node is enough, and one instance then', () => {
    expect(compileCluster({ ...shop, nodes: { a: {} } }, context).spec.services[0]?.instances).toBe(1)
  })
})

describe('complaints', () => {
  test('all at once, each with path, problem and what to write', () => {
    const raw = {
      name: 'Shop',
      nodes: { a: { adress: '10.0.0.1' }, b: { address: '10.0.0.300' } },
      services: {
        web: http({ run: 'x', listen: '80 80', needs: ['db'], nodes: ['d'] } as never),
        x: command({ run: 'x', grace: 'soon', needs: ['web'] } as never),
      },
      preset: 'fast',
    }
    expect(complaintsOf(raw)).toMatchInlineSnapshot(`
      [
        {
          "path": "name",
          "problem": "is "Shop", not a name",
          "write": "lower-case letters, digits and dashes, beginning with a letter, at most 63, such as web-1",
        },
        {
          "path": "nodes.a.adress",
          "problem": "unknown option; did you mean "address"?",
          "write": "address",
        },
        {
          "path": "nodes.b.address",
          "problem": "is "10.0.0.300", not the IPv4 address of one machine",
          "write": "an address such as '10.0.0.1'",
        },
        {
          "path": "preset",
          "problem": "is "fast", not either 'lan' or 'wan'",
          "write": "'lan' or 'wan'",
        },
        {
          "path": "services.web.listen",
          "problem": "is "80 80", not a port",
          "write": "a whole number from 1 to 65535, such as 8080",
        },
        {
          "path": "services.x.grace",
          "problem": "is "soon", not a duration",
          "write": "a duration up to 24h, such as '250ms', '5s' or '2m'",
        },
        {
          "path": "services.web.needs[0]",
          "problem": "is "db", and there is no such service",
          "write": "one of: web, x",
        },
        {
          "path": "services.web.nodes[0]",
          "problem": "is "d", and there is no such node",
          "write": "one of: a, b",
        },
      ]
    `)
  })

  test.each<[string, unknown, string]>([
    ['nothing', undefined, '(the whole config)'],
    ['a number', 3, '(the whole config)'],
    ['no name', { ...shop, name: undefined }, 'name'],
    ['no nodes', { ...shop, nodes: {} }, 'nodes'],
    ['no services', { ...shop, services: {} }, 'services'],
    ['a list of nodes', { ...shop, nodes: ['a'] }, 'nodes'],
    ['a node with a bad name', { ...shop, nodes: { ...nodes, 'C 1': {} } }, 'nodes["C 1"]'],
    ['a node that is a number', { ...shop, nodes: { ...nodes, d: 3 } }, 'nodes.d'],
    ['an address of every interface', { ...shop, nodes: { a: { address: '0.0.0.0' } } }, 'nodes.a.address'],
    [
      'two nodes on one address',
      { ...shop, nodes: { a: { address: '127.0.0.1' }, b: { address: '127.0.0.1' } } },
      'nodes.b.address',
    ],
    ['an unknown option', { ...shop, timings: {} }, 'timings'],
    ['an unknown kind', { ...shop, services: { web: { kind: 'htp', options: {} } } }, 'services.web.kind'],
    ['options without a kind', { ...shop, services: { web: { run: 'x' } } }, 'services.web'],
    ['options beside the options', { ...shop, services: { web: { ...web, listen: 80 } } }, 'services.web.listen'],
    ['traits of its own', { ...shop, services: { web: { ...web, traits: {} } } }, 'services.web.traits'],
    ['no program', { ...shop, services: { web: { kind: 'http', options: { listen: 80 } } } }, 'services.web.run'],
    ['no port', { ...shop, services: { web: { kind: 'http', options: { run: 'x' } } } }, 'services.web.listen'],
    ['an empty program', service({ run: '' }), 'services.x.run'],
    ['a zero byte', service({ run: 'a\0b' }), 'services.x.run'],
    ['no instance', service({ instances: 0 }), 'services.x.instances'],
    ['half an instance', service({ instances: 1.5 }), 'services.x.instances'],
    ['more instances than nodes', service({ instances: 4 }), 'services.x.instances'],
    ['more instances than it may use', service({ instances: 2, nodes: ['a'] }), 'services.x.instances'],
    ['no node it may use', service({ nodes: [] }), 'services.x.nodes'],
    ['an unknown need', service({ needs: ['wbe'] }), 'services.x.needs[0]'],
    ['a need of itself', service({ needs: ['x'] }), 'services.x.needs'],
    ['a node twice', service({ nodes: ['a', 'a'] }), 'services.x.nodes[1]'],
    ['a port of another service', service({ listen: 8080 }), 'services.x.listen'],
    ["a program's port that is a front door", service({ port: 8080 }), 'services.x.port'],
    ["a program's port that is its own front door", service({ listen: 90, port: 90 }), 'services.x.port'],
    ['the port of the API', service({ listen: 7400 }), 'services.x.listen'],
    ['an API on the port of a service', { ...shop, api: { port: 8080 } }, 'services.web.listen'],
    ['a lease that is too short', service({ lease: '400ms' }), 'services.x.lease'],
    ['a lease shorter than heartbeats', { ...shop, timing: { lease: '500ms', heartbeat: '140ms' } }, 'timing.lease'],
    ['a heartbeat longer than the preset allows', { ...shop, timing: { heartbeat: '200ms' } }, 'timing.heartbeat'],
    ['a grace of days', service({ grace: '2d' }), 'services.x.grace'],
    ['a ceiling below its floor', { ...shop, timing: { suspectCeiling: '200ms' } }, 'timing.suspectCeiling'],
    ['a standby of active-active', service({ standby: 'warm' }), 'services.x.standby'],
    [
      'a promotion of cold standbys',
      service({ redundancy: 'active-passive', promote: { signal: 'SIGHUP' } }),
      'services.x.promote',
    ],
    [
      'a promotion in two ways',
      service({ redundancy: 'active-passive', standby: 'warm', promote: { signal: 'SIGHUP', http: '/' } }),
      'services.x.promote',
    ],
    ['a check of nothing', service({ check: {} }), 'services.x.check'],
    ['limits of an endpoint that is none', service({ endpoint: { idleTimeout: '1h' } }), 'services.x.endpoint'],
    ['a variable that is ours', service({ env: { UNDERSTUDY_TERM: '3' } }), 'services.x.env.UNDERSTUDY_TERM'],
    ['a variable that is a number', service({ env: { X: 3 } }), 'services.x.env.X'],
    ['half a second of processor time', service({ limits: { cpuTime: '1.5s' } }), 'services.x.limits.cpuTime'],
    ['an objective that is a word', service({ objectives: { rto: 'soon' } }), 'services.x.objectives.rto'],
    ['a function', service({ run: () => 'x' }), 'services.x.run'],
    ['a date', service({ cwd: new Date() }), 'services.x.cwd'],
  ])('%s', (_, raw, path) => {
    expect(pathsOf(raw)).toContain(path)
  })

  test('a circular dependency is told once, whatever is in it', () => {
    const of = (needs: string[]) => command({ run: 'x', needs } as never)
    const services = { a: of(['b']), b: of(['c']), c: of(['a']), d: of(['a']) }
    expect(complaintsOf({ ...shop, services })).toEqual([
      {
        path: 'services.a.needs',
        problem: 'circular dependency: a → b → c → a',
        write: 'needs that begin somewhere',
      },
    ])
  })

  test('two programs may have one port when they never share a node', () => {
    const on = (node: string) => command({ run: 'x', port: 9000, nodes: [node] } as never)
    expect(pathsOf({ ...shop, services: { x: on('a'), y: on('b') } })).toEqual([])
    expect(pathsOf({ ...shop, services: { x: on('a'), y: on('a') } })).toEqual(['services.y.port'])
  })

  test('what is wrong in itself is not called wrong a second time', () => {
    expect(pathsOf(service({ promote: { signal: 'SIGKILL' }, redundancy: 'active-passive', standby: 'warm' }))).toEqual(
      ['services.x.promote.signal'],
    )
    expect(pathsOf({ ...service({ nodes: ['d'] }), nodes: { ...nodes, d: { zone: 3 } } })).toEqual(['nodes.d.zone'])
    expect(pathsOf(service({ check: { exce: './ok.sh' } }))).toEqual(['services.x.check.exce'])
    expect(pathsOf({ ...shop, timing: { lease: 1 } })).toEqual(['timing.lease'])
  })
})

describe('warnings', () => {
  test('a primary that nothing stands by for', () => {
    const { warnings } = compileCluster(service({ redundancy: 'active-passive', instances: 1 }), context)
    expect(warnings.map(({ path }) => path)).toEqual(['services.x.instances'])
  })

  test('more instances than the cores of this machine can start while leases last', () => {
    const many = (count: number, timing = {}) => ({
      ...shop,
      timing,
      nodes,
      services: Object.fromEntries(
        Array.from({ length: count }, (_, n) => [
          `w${n}`,
          command({ run: 'x', redundancy: 'active-passive', instances: 2 }),
        ]),
      ),
    })
    const warned = (raw: unknown, cores: number) => compileCluster(raw, { ...context, cores }).warnings
    expect(warned(many(50), 2)).toEqual([
      {
        path: 'timing.lease',
        problem:
          'is 2s, and 100 instances on 2 cores take about 8s to start: leases may be renewed too late, and single writers killed for it',
        write: '3s or longer, or run fewer instances on this machine',
      },
    ])
    expect(warned(many(50, { lease: '3s' }), 2)).toEqual([])
    expect(warned(many(50), 4)).toEqual([])
    expect(warned(many(20), 2)).toEqual([])
  })

  test('an address of another machine', () => {
    const { warnings } = compileCluster({ ...shop, nodes: { a: { address: '10.0.0.1' }, b: {} } }, context)
    expect(warnings.map(({ path }) => path)).toEqual(['nodes.a.address'])
  })
})

describe('whatever is in the file', () => {
  const judge = (raw: unknown) => {
    for (const { path, problem, write } of complaintsOf(raw)) {
      expect(path).not.toBe('')
      expect(problem).not.toBe('')
      expect(write).not.toBe('')
    }
  }

  test('any JSON value compiles or is complained about', () => {
    fc.assert(fc.property(fc.jsonValue(), judge), { numRuns: 1000 })
  })

  test('any value at all compiles or is complained about', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }), judge),
      { numRuns: 1000 },
    )
  })

  test('so does a good config with anything in the place of anything', () => {
    const full = JSON.parse(
      JSON.stringify(
        service({
          redundancy: 'active-passive',
          standby: 'warm',
          promote: { http: '/p' },
          check: { exec: ['x'] },
          env: { A: 'b' },
          limits: { memory: '1GiB' },
          log: { files: 1 },
          needs: ['web'],
          nodes: ['a', 'b'],
          objectives: { rto: '1s' },
          lease: '2s',
        }),
      ),
    )
    const rich = { ...full, preset: 'wan', timing: { hold: '1s' }, api: { port: 7401 } }
    expect(complaintsOf(rich)).toEqual([])
    const paths = pathsIn(rich)
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => judge(replaced(rich, path, value))),
      { numRuns: 3000 },
    )
  })

  test('names that JavaScript knows are names', () => {
    for (const name of ['constructor', 'tostring', 'hasownproperty']) {
      expect(complaintsOf({ ...shop, nodes: { [name]: {} }, services: { [name]: web } })).toEqual([])
      expect(pathsOf({ ...shop, nodes, services: { web: { kind: name, options: {} } } })).toEqual(['services.web.kind'])
    }
    expect(pathsOf(JSON.parse('{"name":"shop","nodes":{"a":{},"__proto__":{}},"services":{}}'))).toContain(
      'nodes.__proto__',
    )
  })

  test('a circle of objects, a getter that throws, a long chain of needs', () => {
    const circle: Record<string, unknown> = { ...shop }
    circle.nodes = circle
    expect(complaintsOf(circle).map(({ problem }) => problem)).toContain('is nested too deeply')
    const trap = {
      get name() {
        throw new Error('ha')
      },
    }
    expect(complaintsOf(trap)[0]?.problem).toBe('cannot be read: ha')
    const chain = Object.fromEntries(
      Array.from({ length: 5_000 }, (_, i) => [
        `s${i}`,
        { kind: 'command', options: { run: 'x', needs: i === 0 ? [] : [`s${i - 1}`] } },
      ]),
    )
    expect(complaintsOf({ ...shop, services: chain })).toEqual([])
  })
})

/** Every place in a value, as keys from the top. */
function pathsIn(value: unknown, at: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [[...at]]
  return [[...at], ...Object.entries(value).flatMap(([key, inner]) => pathsIn(inner, [...at, key]))]
}

function replaced(value: unknown, [key, ...deeper]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by
  const copy = structuredClone(value) as Record<string, unknown>
  copy[key] = replaced(copy[key], deeper, by)
  return copy
}
