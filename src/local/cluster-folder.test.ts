/** cluster.json of two versions: either reads what the other wrote. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { cluster, web } from '../../test/made-up.ts'
import { unwritten } from '../core/config-record.ts'
import { StateFolder } from './cluster-folder.ts'

const spec = cluster([web()])

let state: StateFolder
beforeEach(() => {
  state = new StateFolder(mkdtempSync(join(tmpdir(), 'understudy-folder-')))
  state.create()
})
afterEach(() => rmSync(state.path, { recursive: true }))

it('reads what the version before wrote: its spec is a config that no store has yet', () => {
  const before = { spec, run: 'r', version: '0.1.0', configFile: '/etc/shop.ts' }
  writeFileSync(state.clusterFile, JSON.stringify(before))
  expect(state.readCluster()).toEqual({ ...before, config: unwritten(spec, { run: 'r' }) })
})

it('is read by the version before, which wants the spec at the top, also after another config holds', () => {
  const config = unwritten(spec, { run: 'r' })
  state.writeCluster({ config, run: 'r', version: '0.2.0' })
  const other = { ...config, number: 2, spec: cluster([web({ instances: 2 })]) }
  state.keepConfig(other)
  const file = JSON.parse(readFileSync(state.clusterFile, 'utf8')) as Record<string, unknown>
  expect(file).toMatchObject({ spec: other.spec, run: 'r', version: '0.2.0' })
  expect(state.readCluster()?.config).toEqual(other)
})
