/** The one list of stores. A new engine is a folder beside the others and a line here. */
import { assertNever } from '../lib/assert.ts'
import { type EmbeddedOptions, openEmbeddedStore } from './embedded/open.ts'
import type { MemoryCluster } from './memory.ts'
import type { Store } from './store.ts'

export type StoreChoice =
  /** One file, shared by the agents of one machine. */
  | ({ readonly kind: 'embedded' } & EmbeddedOptions)
  /** In this process only, for tests and the simulator. */
  | { readonly kind: 'memory'; readonly cluster: MemoryCluster }

/** Opens one handle; rejects with an UnderstudyError that says what is wrong with the place and what to do. */
export async function openStore(choice: StoreChoice): Promise<Store> {
  switch (choice.kind) {
    case 'embedded':
      return openEmbeddedStore(choice)
    case 'memory':
      return choice.cluster.open()
    default:
      return assertNever(choice)
  }
}
