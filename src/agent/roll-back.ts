/**
 * The way back of a roll-out that failed: the service gets the last config in which it was another, and what was changed beside it
 * since stays. Only what a config brought can be taken back. A restart that was asked for, or a secret that was changed, is no
 * config: an older one would undo what has nothing to do with the failure. And a way back that fails is not taken back either, or
 * two bad versions would take turns for ever.
 */
import type { ServiceName, ServiceSpec } from '../core/model.ts'
import { targetOf } from '../core/rollout.ts'
import { secretsOf } from '../core/secrets.ts'
import type { View } from '../core/view.ts'
import type { Store } from '../stores/store.ts'
import { KEY } from './agreed-records.ts'
import { nextRecord, readHistory, readPastConfig, writeConfig } from './config-store.ts'

type Way = { readonly number: number; readonly service: ServiceSpec } | { readonly none: string }

/** A sentence about what was done; undefined when another node was faster. */
export async function rollBack(
  service: ServiceName,
  target: string,
  view: View,
  store: Pick<Store, 'read' | 'swap'>,
): Promise<string | undefined> {
  const { config } = view.store
  const rollout = view.store.rollouts?.[service]
  const present = config?.spec.services.find(({ name }) => name === service)
  if (!config || !present || !rollout?.failed || rollout.target !== target) return undefined
  const way = await wayBack(view, present, config.number, store)
  if ('none' in way) {
    const { revision, ...record } = rollout
    const failed = { ...rollout.failed, noWayBack: true as const }
    const write = { key: KEY.rollout(service), value: { ...record, failed } }
    const outcome = await store.swap([{ key: write.key, revision }], [write])
    return outcome === 'done' ? `${service} stays as it is: ${way.none}` : undefined
  }
  const services = config.spec.services.map((one) => (one.name === service ? way.service : one))
  const message = `${service} back to config ${way.number}: ${rollout.failed.why}`
  const who = { run: config.run, at: view.wall, by: `agent of ${view.self}`, message, version: config.version }
  const next = { ...nextRecord(config, { ...config.spec, services }, who), returnsTo: way.number }
  const outcome = await writeConfig(store, config, next, null)
  return outcome === 'done' ? `config ${next.number}: ${message}` : undefined
}

async function wayBack(view: View, present: ServiceSpec, number: number, store: Pick<Store, 'read'>): Promise<Way> {
  const { name } = present
  const history = (await readHistory(store)).filter((past) => past.number <= number)
  let since = history[0]
  for (const past of history) {
    const before = (await readPastConfig(store, past.number))?.spec.services.find((one) => one.name === name)
    if (!before || targetOf(before) === targetOf(present)) {
      if (before) since = past
      continue
    }
    const newer = newerThan(view, present, since?.revision ?? 0)
    if (newer) return { none: `${newer} after config ${since?.number}, which is not what failed` }
    if (since?.returnsTo !== undefined)
      return { none: `config ${since.number} is the way back to config ${since.returnsTo} already` }
    const unset = secretsOf(before).find((secret) => view.store.secrets?.[secret]?.sealed === undefined)
    if (unset !== undefined) return { none: `config ${past.number} needs the secret ${unset}, which is not set` }
    return { number: past.number, service: before }
  }
  return { none: 'there is no config before in which it was another' }
}

/** What else replaces instances and was asked for after this revision of the store. */
function newerThan({ store }: View, service: ServiceSpec, revision: number): string | undefined {
  const wish = store.wishes?.[service.name]
  if (wish && wish.restarts > 0 && wish.revision > revision) return 'a restart was asked for'
  const secret = secretsOf(service).find((one) => (store.secrets?.[one]?.revision ?? 0) > revision)
  return secret === undefined ? undefined : `the secret ${secret} was changed`
}
