/** The output as an operator reads it: a change of a word is a change of this file. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FakeSurface, fakeEvent, fakeReceipt, fakeRedundancy, fakeStatus } from '../../api/fake-surface.ts'
import type { ServiceStatus, Status } from '../../client/index.ts'
import type { NodePhase } from '../../local/local-node.ts'
import { fakeIo } from '../fake-io.ts'
import { clip } from './columns.ts'
import { frame, type Picture } from './frame.ts'
import { eventLine, explanationLines, receiptLines, receiptsLines } from './print-events.ts'
import { statusExitCode, statusLines, versionLines } from './print-status.ts'
import { killedLines, leftLine, stopLines } from './print-stop.ts'

beforeEach(() => {
  vi.stubEnv('TZ', 'UTC')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

const io = fakeIo()

function shown(lines: readonly string[]): string {
  return `\n${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

/** A bad night: c is lost, b is drained, web crashes for ever. */
function badNight(): Status {
  const status = fakeStatus('b')
  const [web, mailer] = status.services as [ServiceStatus, ServiceStatus]
  const [one, two] = web.instances as [ServiceStatus['instances'][number], ServiceStatus['instances'][number]]
  return {
    ...status,
    store: { kind: 'embedded', writable: false, why: 'the disk is full' },
    nodes: status.nodes.map((node) => ({
      ...node,
      drained: node.name === 'b',
      ...(node.name === 'c' ? { alive: false, state: 'lost', agentPid: null, balancerPid: null, fencePid: null } : {}),
    })),
    services: [
      {
        ...web,
        healthy: false,
        redundancyState: fakeRedundancy({
          state: 'unhealthy',
          there: 0,
          oneMoreLoss: null,
          missing: [
            { what: 'instance', node: 'a', why: 'its instance is stopped: ended with code 1' },
            { what: 'instance', node: 'b', why: 'its instance is unhealthy: GET /healthz: 503' },
          ],
          summary: '0 of 2 instances',
        }),
        why: 'no instance of web is healthy (3 asked for)',
        instances: [
          {
            ...one,
            state: 'stopped',
            healthy: false,
            role: 'none',
            pid: null,
            port: null,
            note: 'ended with code 1',
            failures: 4,
            retryInMs: 1_600,
          },
          { ...two, healthy: false, note: 'GET /healthz: 503' },
        ],
      },
      { ...mailer, instances: [] },
    ],
  }
}

describe('status', () => {
  it('is short when all is well', () => {
    expect(shown(statusLines(io, fakeStatus()))).toMatchInlineSnapshot(`
      "
      shop  all healthy and redundant  3 of 3 nodes alive  store embedded  (says a)

      NODE  ADDRESS     ZONE   STATE  AGENT  BALANCER  FENCE
      a     127.0.0.11  north  alive    100       200    300
      b     127.0.0.12  south  alive    101       201    301
      c     127.0.0.13  west   alive    102       202    302

      SERVICE  HEALTH   REDUNDANCY  PRIMARY  TERM  WHY
      web      healthy  2 of 2      -           -  three of three instances serve
      mailer   healthy  2 of 2      a           3  led from a since term 3

      INSTANCE  NODE  ROLE     STATE    HEALTH   PID   PORT  NOTE
      web       a     active   running  healthy  400  40001
                b     active   running  healthy  401  40002
                c     active   running  healthy  402  40003
      mailer    a     primary  running  healthy  500      -
                b     standby  stopped  -          -      -

      ENDPOINTS
      web        http://127.0.0.11:8080  http://127.0.0.12:8080  http://127.0.0.13:8080
      "
    `)
  })

  it('says what is wrong and what to type next', () => {
    expect(shown(statusLines(io, badNight()))).toMatchInlineSnapshot(`
      "
      shop  unhealthy: web (a: its instance is stopped: ended with code 1; 1 more)  2 of 3 nodes alive  drained: b  store embedded: the disk is full  (says b)

      NODE  ADDRESS     ZONE   STATE           AGENT  BALANCER  FENCE
      a     127.0.0.11  north  alive             100       200    300
      b     127.0.0.12  south  alive, drained    101       201    301
      c     127.0.0.13  west   lost                -         -      -

      SERVICE  HEALTH     REDUNDANCY  PRIMARY  TERM  WHY
      web      unhealthy  0 of 2      -           -  no instance of web is healthy (3 asked for)
      mailer   healthy    2 of 2      a           3  led from a since term 3

      INSTANCE  NODE  ROLE    STATE    HEALTH     PID   PORT  NOTE
      web       a     -       stopped  -            -      -  ended with code 1; failed 4 times in a row; again in 1.6 s
                b     active  running  unhealthy  401  40002  GET /healthz: 503
      mailer    -     -       none     -            -      -

      MISSING   OF   NODE  WHY
      instance  web  a     its instance is stopped: ended with code 1
      instance  web  b     its instance is unhealthy: GET /healthz: 503

      ENDPOINTS
      web        http://127.0.0.11:8080  http://127.0.0.12:8080  http://127.0.0.13:8080 (not known)

      Next: understudy why web   understudy undrain b
      "
    `)
  })
})

describe('the headline of status', () => {
  const first = (status: Status) => statusLines(io, status)[0]
  const now = (state: Partial<ServiceStatus['redundancyState']>): Status => {
    const status = fakeStatus()
    const [web, mailer] = status.services as [ServiceStatus, ServiceStatus]
    return { ...status, services: [web, { ...mailer, redundancyState: fakeRedundancy(state) }] }
  }
  const degraded = now({
    state: 'degraded',
    there: 2,
    wanted: 3,
    oneMoreLoss: 'stops-writes',
    missing: [{ what: 'replica', node: 'c', why: 'its server is stopped: No space left on device' }],
    summary: '2 of 3 replicas, one more loss stops writes',
  })
  const thin = now({ state: 'not-redundant', wanted: 1, there: 1, oneMoreLoss: 'stops-service' })

  it('says which service is degraded, what one more loss does, and why', () => {
    expect(first(degraded)).toMatchInlineSnapshot(
      `"shop  degraded: mailer (2 of 3 replicas, one more loss stops writes; c: its server is stopped: No space left on device)  3 of 3 nodes alive  store embedded  (says a)"`,
    )
    expect(statusLines(io, degraded).join('\n')).toMatch(
      /MISSING +OF +NODE +WHY\nreplica +mailer +c +its server is stopped/,
    )
    expect(statusLines(io, degraded).at(-1)).toBe('Next: understudy why mailer')
  })

  it('says which service is not redundant because the config asks for no more', () => {
    expect(first(thin)).toMatchInlineSnapshot(
      `"shop  all healthy, not redundant as configured: mailer  3 of 3 nodes alive  store embedded  (says a)"`,
    )
  })

  it('goes with the exit code: 0 as wished, 1 unhealthy, 11 something is missing', () => {
    const silent = { ...fakeStatus(), nodes: badNight().nodes }
    const stuck = { ...fakeStatus(), store: { kind: 'embedded', writable: false, why: 'the disk is full' } }
    expect([fakeStatus(), thin, badNight(), degraded, silent, stuck].map(statusExitCode)).toEqual([0, 0, 1, 11, 11, 11])
  })
})

describe('events, explanations, receipts', () => {
  it('are lines', async () => {
    expect(eventLine(io, fakeEvent('a-1', { service: null, kind: 'told' }))).toMatchInlineSnapshot(
      `"03:04:05.678  a    -         told     instance-down         it ended with code 1"`,
    )
    expect(shown(explanationLines(io, await new FakeSurface().why('web')))).toMatchInlineSnapshot(`
      "
      web  web runs on a, b and c

      PROBLEM        SEEN BY  WHY
      instance-down  b        the process ended with code 1 (first-hand)

      “understudy logs web” shows what it printed.

      NODE  CAN BE PRIMARY  WHY
      a     yes             alive and healthy
      b     no              nothing runs there

      WHAT HAPPENED LAST
      03:04:05.678  b  web  noticed  instance-down  it ended with code 1
      "
    `)
  })

  it('of receipts: a table, or each in full', () => {
    const repair = fakeReceipt({
      id: 'c-1',
      service: 'web',
      kind: 'repair',
      from: 'c',
      to: 'c',
      term: 0,
      backAfterMs: 4_230,
    })
    expect(shown(receiptsLines(io, [fakeReceipt(), repair]))).toMatchInlineSnapshot(`
      "
      WHEN          SERVICE  KIND      FROM  TO  TERM  BACK AFTER  RULE
      03:04:05.678  mailer   failover  a     b      2      212 ms  primary-lost
      03:04:05.678  web      repair    c     c      -       4.2 s  primary-lost
      "
    `)
    expect(shown(receiptLines(io, fakeReceipt()))).toMatchInlineSnapshot(`
      "
      mailer  failover  a → b  term 2  back after 212 ms
        primary-lost: the primary on a ended with signal SIGKILL
            0 ms  noticed
           41 ms  leading
          212 ms  healthy
        sessions: 3 held for 180 ms at most, 2 moved, 1 closed (in-transaction 1)
        not c: as far as b, which was placed before it
      "
    `)
    expect(receiptsLines(io, [])).toHaveLength(1)
  })
})

describe('the live view', () => {
  const { nodes, services } = fakeStatus()
  const spec = {
    name: 'shop',
    apiPort: 7400,
    nodes,
    services: services.map(({ name, endpoints }) => ({ name, endpoints: endpoints.slice(0, 1) })),
  } as unknown as Picture['spec']
  const phases = new Map<string, { readonly phase: NodePhase }>(nodes.map(({ name }) => [name, { phase: 'running' }]))
  const events = Array.from({ length: 50 }, (_, index) => fakeEvent(`a-${index + 1}`, { why: `event ${index + 1}` }))
  const picture: Picture = { spec, phases, status: fakeStatus(), statusAgeMs: 100, events }

  it('says that it waits before there is anything to see', () => {
    const booting = { ...picture, status: undefined, events: [] }
    expect(shown(frame(io, booting))).toMatchInlineSnapshot(`
      "
      shop  waiting for the first agent to answer  a starting  b starting  c starting

      web  http://127.0.0.11:8080  http://127.0.0.12:8080  http://127.0.0.13:8080
      API  http://127.0.0.11:7400  http://127.0.0.12:7400  http://127.0.0.13:7400
      status, events -f, why SERVICE, switchover SERVICE: in another terminal.  Ctrl-C stops everything.
      "
    `)
  })

  it('fits any terminal, and keeps the way out in sight', () => {
    for (const rows of [12, 20, 24, 40, 60]) {
      for (const columns of [40, 80, 200]) {
        const small = fakeIo({ tty: true, rows, columns })
        const lines = frame(small, picture)
        expect(lines.length).toBeLessThan(rows)
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
        expect(lines.at(-2)).toContain('API')
      }
    }
    expect(frame(fakeIo({ tty: true, rows: 40 }), picture).join('\n')).toContain('event 50')
  })

  it('says how old its news is, and which agents are gone', () => {
    const dying = new Map(phases).set('b', { phase: 'waiting' })
    const text = frame(io, { ...picture, phases: dying, statusAgeMs: 7_200 }).join('\n')
    expect(text).toContain('no agent answers for 7 s: this is the last that was known')
    expect(text).toContain('the agent of b died and is started again')
  })
})

describe('stopping', () => {
  const left = [
    { node: 'b', what: 'agent', identity: { pid: 7, startTime: 1 } },
    { node: 'a', what: 'web', identity: { pid: 8, startTime: 1 } },
    { node: 'b', what: 'web', identity: { pid: 9, startTime: 1 } },
  ]

  it('names what is waited for and what was killed', () => {
    expect(leftLine(io, left)).toBe('waiting for  a: web   b: agent web')
    expect(stopLines(io, { told: true, why: '', killed: [] })).toEqual(['Stopped. Nothing had to be killed.'])
    expect(shown(stopLines(io, { told: false, why: 'no agent was running', killed: left }))).toMatchInlineSnapshot(`
      "
      The agents could not be told to stop: no agent was running.
      Stopped. These did not end in time and were killed:
        b  agent (process 7)
        a  web (process 8)
        b  web (process 9)
      "
    `)
    expect(killedLines(io, left.slice(0, 1))).toEqual(['Killed at once, as you asked:', '  b  agent (process 7)'])
  })
})

describe('clip', () => {
  it('cuts to the width of a terminal, counts no colours, and leaves pipes alone', () => {
    const esc = String.fromCharCode(27)
    const line = `${esc}[32mgreen${esc}[39m and plain`
    expect(clip({ tty: true, columns: 8 }, line)).toBe(`${esc}[32mgreen${esc}[39m a…`)
    expect(clip({ tty: true, columns: 15 }, line)).toBe(line)
    expect(clip({ tty: false, columns: 8 }, line)).toBe(line)
  })
})

it('says versions only while they differ, and which balancer stays', () => {
  const { nodes } = fakeStatus('a')
  const of = (version: string, balancerVersion: string, fenceVersion: string) => ({
    ...{ version, balancerVersion, fenceVersion, protocol: 1 },
  })
  const same = nodes.map((node) => ({ ...node, ...of('1.2.0', '1.2.0', '1.2.0') }))
  expect(versionLines(io, { nodes })).toEqual([])
  expect(versionLines(io, { nodes: same })).toEqual([])
  const [a, b, c] = same as [(typeof same)[0], (typeof same)[0], (typeof same)[0]]
  const mixed = [
    { ...a, ...of('1.2.0', 'earlier', '1.2.0') },
    { ...b, ...of('earlier', 'earlier', 'earlier') },
  ]
  const lost = { ...c, version: null, balancerVersion: null, fenceVersion: null }
  expect(shown(versionLines(io, { nodes: [...mixed, lost] }))).toMatchInlineSnapshot(`
    "
    VERSIONS  AGENT    BALANCER  FENCE
    a         1.2.0    earlier   1.2.0    this balancer cannot hand over its connections: it stays until its node restarts
    b         earlier  earlier   earlier
    c         -        -         -
    "
  `)
})

describe('a change of the config in a status', () => {
  const config = { number: 4, hash: '', at: '', by: '', message: '', leaving: [], removed: [], refused: null }
  const withWeb = (given: object, more: object = {}): Status => {
    const status = fakeStatus()
    const services = status.services.map((one) => (one.name === 'web' ? { ...one, ...given } : one))
    return { ...status, services, config: { ...config, ...more } }
  }
  const text = (status: Status) => statusLines(io, status).join('\n')

  it('shows the number, and what leaves', () => {
    expect(text(withWeb({}))).toMatch(/^shop {2}.* {2}config 4 {2}/)
    const leaves = withWeb({}, { leaving: ['c'], removed: ['api'] })
    expect(text(leaves)).toContain('config 4  leaving: c  being removed: api')
    expect(
      text({
        ...leaves,
        nodes: leaves.nodes.map((node) => (node.name === 'c' ? { ...node, drained: true, leaving: true } : node)),
      }),
    ).toMatch(/c +127.0.0.13 +west +alive, leaving/)
  })

  it('shows how far a roll-out is, and why it stopped', () => {
    const rolling = { state: 'rolling', updated: 1, of: 3, why: 'b is being replaced' }
    expect(text(withWeb({ rollout: rolling }))).toContain('rolling: 1 of 3 updated; three of three')
    const stopped = text(
      withWeb({ rollout: { ...rolling, state: 'stopped', why: 'the new instance of web on b failed: exit 3' } }),
    )
    expect(stopped).toContain('roll-out stopped: 1 of 3 updated, the new instance of web on b failed: exit 3')
    expect(stopped).toContain('Next: understudy apply --abort')
  })

  it('shows a service that an operator stopped as stopped, not as broken', () => {
    const stopped = withWeb({
      stopped: { at: '2026-01-02T03:04:05.678Z', by: 'op@host' },
      healthy: false,
      instances: [],
    })
    expect(text(stopped)).toContain('stopped by an operator: web')
    expect(text(stopped)).toContain('stopped by op@host at 2026-01-02T03:04:05.678Z')
    expect(text(stopped)).toContain('Next: understudy start web')
    expect(statusExitCode(stopped)).toBe(0)
  })
})
