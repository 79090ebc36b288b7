/** A config that a client sent is one, or is refused before any agent acts on it. */
import { expect, it } from 'vitest'
import { cluster, database, web, worker } from '../../test/made-up.ts'
import { specFault } from './spec-shape.ts'

const spec = JSON.parse(JSON.stringify(cluster([web(), worker({ needs: ['web'] }), database()])))
const [first, ...rest] = spec.services
const withFirst = (given: object) => ({ ...spec, services: [{ ...first, ...given }, ...rest] })

it('finds nothing wrong with what was compiled', () => expect(specFault(spec)).toBeUndefined())

it.each([
  [null, 'the config has no name'],
  [{ ...spec, name: '../x' }, 'the config has no name'],
  [{ ...spec, apiPort: 0 }, 'apiPort is not a port'],
  [{ ...spec, store: undefined }, 'does not say its store'],
  [{ ...spec, nodes: [] }, 'nodes is not a list of nodes'],
  [{ ...spec, nodes: [{ name: 'a' }] }, 'nodes is not a list of nodes'],
  [{ ...spec, nodes: [...spec.nodes, spec.nodes[0]] }, 'a is there twice'],
  [{ ...spec, timing: {} }, 'timing does not have every duration'],
  [{ ...spec, services: {} }, 'services is not a list'],
  [{ ...spec, services: [...spec.services, first] }, 'web is there twice'],
  [withFirst({ instances: 0 }), 'the service web has no number of instances'],
  [withFirst({ redundancy: 'both' }), 'the service web has no known redundancy'],
  [withFirst({ timing: { ...first.timing, graceMs: '1s' } }), 'does not have every duration'],
  [withFirst({ endpoints: [{ purpose: 'serving', protocol: 'http', port: 99_999 }] }), 'an endpoint without'],
  [withFirst({ endpoints: [{ purpose: 'serving', protocol: 'http', port: 7400 }] }), 'port 7400 is there twice'],
  [withFirst({ traits: {} }), 'has no traits'],
  [withFirst({ options: undefined }), 'has no options'],
  [withFirst({ update: { atOnce: 0, pauseMs: 1, onFailure: 'stop' } }), 'does not say how it is changed'],
  [withFirst({ needs: ['nothing'] }), 'nothing is needed, and the config does not name it'],
  [withFirst({ nodes: ['z'] }), 'z is needed, and the config does not name it'],
  [{ ...spec, services: [database({ replication: undefined as never })] }, 'replicates and does not say how'],
])('%# refuses another one', (value, says) => expect(specFault(value)).toContain(says))
