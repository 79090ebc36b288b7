/** What a change of options means, by the kind of the service. Apart from the drivers themselves: a plan needs none of them. */
import type { ChangeOfOptions, OptionsChange } from '../core/options-change.ts'
import { postgresChange } from './postgres/changed-options.ts'
import type { PostgresOptions } from './postgres/options.ts'
import type { ProcessOptions } from './process/options.ts'
import { processChange } from './process/started-from.ts'

/** Of two services of one kind. One of an unknown kind has no options that could be known. */
export const changeOfOptions: ChangeOfOptions = ({ kind, options: before }, { options: after }): OptionsChange => {
  if (kind === 'postgres') return postgresChange(before as PostgresOptions, after as PostgresOptions)
  return processChange(before as ProcessOptions, after as ProcessOptions)
}
