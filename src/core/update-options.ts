/** How a service is changed while it runs. */
export interface UpdateOptions {
  /** How many instances may be down for it at a time. */
  readonly atOnce: number
  /** How long a new instance must be healthy before the next one goes. */
  readonly pauseMs: number
  /** When a new instance fails: leave the others as they are, or go back to the config before as well. */
  readonly onFailure: 'stop' | 'rollback'
}
