/** What another set of options means for an instance that runs: known by its driver, asked by the plan of a config. */
import type { ServiceSpec } from './model.ts'

export interface OptionsChange {
  /**
   * `nothing`: no instance notices. `reload`: taken while it runs. `reload-or-restart`: the server itself decides which.
   * `restart`: in turns. `refused`: not while the service is there.
   */
  readonly needs: 'nothing' | 'reload' | 'reload-or-restart' | 'restart' | 'refused'
  /** Of a restart: a primary is restarted where it is, and not switched over. */
  readonly primaryStays?: true
  /** The parts that changed, by name: no values, which may be secret. */
  readonly what: readonly string[]
  /** Of a refusal: a sentence that says what to do instead. */
  readonly why?: string
}

/** Of two versions of one service, of the same kind. */
export type ChangeOfOptions = (before: ServiceSpec, after: ServiceSpec) => OptionsChange
