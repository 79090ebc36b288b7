import { describe, expect, it } from 'vitest'
import { cluster, peer, running, stopped, view, web as webService } from '../../test/made-up.ts'
import { knownProblems, sentenceFor } from './explain.ts'

const web = webService()
const crashing = {
  rule: 'instance-crashing' as const,
  service: 'web',
  evidence: 'first-hand' as const,
  why: 'web on b ended with code 3',
}

describe('what one node says about all', () => {
  const told = peer('b', [stopped('web', { failures: 3, retryInMs: 900, note: 'ended with code 3' })])
  const { report } = told
  if (!report) throw new Error('a made-up peer has reported')
  const known = { ...told, report: { ...report, problems: [crashing] } }

  it('has what another node told of itself, with who sees it', () => {
    const seen = view({ cluster: cluster([web]), peers: { b: known } })
    expect(knownProblems(seen, [])).toEqual([{ ...crashing, node: 'b' }])
  })

  it('says once what several see alike', () => {
    const seen = view({ cluster: cluster([web]), peers: { b: known } })
    expect(knownProblems(seen, [crashing])).toEqual([{ ...crashing, node: 'a' }])
  })

  it('forgets what a silent node told: it may be over', () => {
    const seen = view({ cluster: cluster([web]), peers: { b: { ...known, state: 'lost' } } })
    expect(knownProblems(seen, [])).toEqual([])
  })

  it('does not count what a frozen node reported last among what serves', () => {
    const frozen = peer('b', [running('web')], { state: 'condemned', heardAgoMs: 1_200 })
    const c = peer('c', [running('web')])
    const seen = view({
      cluster: cluster([web]),
      peers: { b: frozen, c },
      local: { instances: { web: running('web') } },
    })
    expect(sentenceFor(seen, web, [])).toBe(
      '2 of 3 instances serve: a, c; b may serve on: it is silent: last heard 1.2 s ago',
    )
  })

  it('says of a service that does not serve what is wrong, and without a problem what each instance is', () => {
    const seen = view({ cluster: cluster([web]), peers: { b: known } })
    expect(sentenceFor(seen, web, knownProblems(seen, []))).toBe(crashing.why)
    expect(sentenceFor(seen, web, [])).toBe(
      'no instance of web is healthy: b is started again in 900 ms: ended with code 3',
    )
  })
})
