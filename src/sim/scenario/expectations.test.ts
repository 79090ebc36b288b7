/** What an expectation of a scenario must not do: be met by what was so before, or by what was never there. */
import { describe, expect, it } from 'vitest'
import { http } from '../../config/define.ts'
import { expectScenario, ScenarioFailed } from './expect-scenario.ts'
import { tellScenario } from './runner.ts'

const TRIO = 'cluster a:north b:south c:west'
const DATABASE = `${TRIO}
  service db database 3
  start
  expect settled within 20s`

describe('an expectation is judged by what happened after the line before it', () => {
  it('a killed primary of a database does not serve', async () => {
    const { text, failures } = await tellScenario(`${DATABASE}\nkill db.primary\nexpect db served within 1ms`)
    expect(failures, text).toEqual(['db is not served after 1 ms'])
  })

  it('a primary that is cut off at this moment has acknowledged nothing after the cut', async () => {
    const cut = 'cut a b\ncut a c\ncut b c'
    const { text, failures } = await tellScenario(`${DATABASE}\n${cut}\nexpect db served within 10ms`)
    expect(failures, text).toEqual(['db is not served after 10 ms'])
  })

  it('a failover is seen as one: the successor serves, after a time', async () => {
    const { text, failures } = await tellScenario(`${DATABASE}\nkill db.primary\nexpect db served within 5s`)
    expect(failures, text).toEqual([])
    expect(text).not.toMatch(/> kill db.primary[\s\S]*served by \w+ after 0 ms/)
  })

  it('a step that is waited for and does not come fails the scenario', async () => {
    const elected = await tellScenario(`${DATABASE}\nkill db.primary\nwait for elect`)
    expect(elected.failures).toEqual([])
    const { failures } = await tellScenario(`${DATABASE}\nwait for elect within 2s`)
    expect(failures).toEqual(['no agent did a step of elect within 2.0 s'])
  })

  it('a process that is being killed is no target for another fault', async () => {
    const worker = `${TRIO}\nservice worker command active-passive 2 warm\nstart\nexpect worker served within 5s`
    const { failures } = await tellScenario(`${worker}\nkill worker.primary\nkill worker.primary`)
    expect(failures).toEqual(['kill worker.primary: there is no such process'])
  })

  it('a service that must stay served fails at the first moment at which it is not', async () => {
    const web = `${TRIO}\nservice web http active-active 1\nstart\nexpect web served within 5s\nexpect web served for 2s`
    expect((await tellScenario(web)).failures).toEqual([])
    const { failures } = await tellScenario(
      `${web.replace(/\n[^\n]*$/, '')}\nkill worst\nexpect web served for 2s`.replace('worst', 'a\nkill b\nkill c'),
    )
    expect(failures).toEqual(['web is not served after 0 ms'])
  })
})

describe('what a scenario does not know is refused, not met', () => {
  const start = `${TRIO}\nservice worker command active-passive 2 warm\nstart`
  it.each([
    ['a service', `${start}\nexpect wroker not served`, /no service “wroker”/],
    ['a node', `${start}\nexpect worker served by z within 5s`, /no node “z”/],
    ['the target of a fault', `${start}\nkill a.wroker`, /no service “wroker”/],
    ['the node of a fault', `${start}\nkill z.worker`, /no node “z”/],
    ['the end of a cable', `${start}\ncut a z`, /no node “z”/],
    ['a condition', `${start}\nstore awya`, /store awya/],
    ['a word too many', `${start}\nkill a for god`, /for god/],
    ['a rule', `${start}\nwait for election`, /no rule: election/],
    ['a kind', `${TRIO}\nservice db databse 3`, /databse/],
    ['a number', `${TRIO}\nservice db database three`, /three/],
    ['a direction of time', `${start}\nclock a sideways 1h`, /sideways/],
  ])('%s', async (_, source, what) => {
    await expect(tellScenario(source)).rejects.toThrow(what)
  })

  it('an expectation before anything was started', async () => {
    await expect(
      tellScenario(`${TRIO}\nservice worker command active-passive 2\nexpect worker not served`),
    ).rejects.toThrow(/before “start”/)
  })

  it('one writer, where no service has one', async () => {
    const web = `${TRIO}\nservice web http active-active 2\nstart\nexpect web served within 5s\nexpect one writer`
    expect((await tellScenario(web)).failures).toEqual(['no service of this cluster has one writer'])
  })

  it('nothing lost, where nothing was written or where no primary can show it', async () => {
    const web = `${TRIO}\nservice web http active-active 2\nstart\nexpect web served within 5s\nexpect nothing lost`
    expect((await tellScenario(web)).failures).toEqual(['no write was acknowledged'])
  })
})

describe('expectScenario', () => {
  it('rejects with the transcript when an expectation is not met', async () => {
    const failed = expectScenario(`${DATABASE}\nkill a\nkill b\nexpect db served within 3s`)
    await expect(failed).rejects.toThrow(ScenarioFailed)
    await expect(failed).rejects.toThrow(/db is not served after 3.0 s[\s\S]*> kill b/)
  })

  it('rejects a scenario that expects nothing', async () => {
    await expect(expectScenario(`${DATABASE.replace(/\n.*$/, '')}\nwait 1s`)).rejects.toThrow(/expects nothing/)
  })

  it('performs the config of an operator, with its own services, timing and kinds', async () => {
    const config = {
      name: 'mine',
      nodes: { a: {}, b: {}, c: {} },
      services: { web: http({ run: 'node server.js', listen: 8080, instances: 2 }) },
    }
    await expectScenario('start\nexpect web served within 5s\nkill a\nexpect web served within 5s', { config })
    const killAll = 'start\nexpect web served within 5s\nkill a\nkill b\nkill c\nexpect web served within 5s'
    await expect(expectScenario(killAll, { config })).rejects.toThrow(/web is not served/)
    await expect(expectScenario(`${TRIO}\nstart\nexpect web served within 5s`, { config })).rejects.toThrow(
      /the config says/,
    )
  })

  it('performs it with each of several seeds and names the one that failed', async () => {
    const failed = expectScenario(`${DATABASE}\nkill db.primary\nexpect db served within 1ms`, { seeds: [7, 8] })
    await expect(failed).rejects.toThrow(/seed 7/)
  })
})
