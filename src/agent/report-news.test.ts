import { expect, test } from 'vitest'
import { copy } from '../../test/made-up.ts'
import type { InstanceReport, NodeReport } from '../core/model.ts'
import { isNoNews, mayMatter } from './report-news.ts'

const COPY = copy({ streaming: [{ node: 'c', lagBytes: 0 }], receivingFrom: 'b' })

function report(of: Partial<NodeReport> = {}, instance: Partial<InstanceReport> = {}): NodeReport {
  const db: InstanceReport = {
    service: 'db',
    role: 'standby',
    state: 'running',
    health: 'healthy',
    note: '',
    healthForMs: 1,
    stateForMs: 1,
    hung: false,
    term: 0,
    failures: 0,
    retryInMs: 0,
    replica: COPY,
    ...instance,
  }
  return {
    node: 'a',
    incarnation: 1,
    agentPid: 1,
    balancerPid: 2,
    fencePid: 3,
    instances: [db],
    stopping: false,
    problems: [],
    ...of,
  }
}

const PROBLEM = { rule: 'store-away', service: null, evidence: 'first-hand', why: 'it does not answer' } as const

test.each<[string, NodeReport]>([
  ['itself', report()],
  ['ages', report({}, { healthForMs: 9, stateForMs: 9 })],
  ['a log that grows', report({}, { replica: { ...COPY, position: { term: 1, timeline: 1, log: '200' } } })],
  ['a lag', report({}, { replica: { ...COPY, replayLagBytes: 5, streaming: [{ node: 'c', lagBytes: 9 }] } })],
])('%s is no news', (_, now) => {
  expect(isNoNews(report(), now)).toBe(true)
  expect(mayMatter(report(), now)).toBe(false)
})

test.each<[string, NodeReport]>([
  ['another agent', report({ incarnation: 2 })],
  ['a node that is being stopped', report({ stopping: true })],
  ['a door that opens', report({ openDoors: ['127.0.0.1:1'] })],
  ['one instance more', { ...report(), instances: [...report().instances, ...report().instances] }],
  ['ill health', report({}, { health: 'unhealthy' })],
  ['a process', report({}, { pid: 7 })],
  ['a wait', report({}, { retryInMs: 100 })],
  ['a pledge', report({}, { replica: { ...COPY, pledged: 2 } })],
  ['log of a later term', report({}, { replica: { ...COPY, position: { term: 2, timeline: 2, log: '100' } } })],
  ['another standby', report({}, { replica: { ...COPY, streaming: [{ node: 'd', lagBytes: 0 }] } })],
  ['the end of the copy', report({}, { replica: undefined } as unknown as Partial<InstanceReport>)],
])('%s is news that may matter', (_, now) => {
  expect(isNoNews(report(), now)).toBe(false)
  expect(mayMatter(report(), now)).toBe(true)
})

test('how far a fenced copy is decides who leads', () => {
  const recruited = { ...COPY, recruited: true }
  const further = { ...recruited, position: { term: 1, timeline: 1, log: '200' } }
  expect(isNoNews(report({}, { replica: recruited }), report({}, { replica: further }))).toBe(false)
  expect(
    isNoNews(report({}, { replica: recruited }), report({}, { replica: { ...recruited, replayLagBytes: 3 } })),
  ).toBe(true)
})

test('what is wrong elsewhere is news, and nothing is decided by it', () => {
  expect(isNoNews(report(), report({ problems: [PROBLEM] }))).toBe(false)
  expect(mayMatter(report(), report({ problems: [PROBLEM] }))).toBe(false)
})
