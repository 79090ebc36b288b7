/** Secrets as the HTTP API speaks of them. A value goes in, and none comes out. */

export interface SecretEntry {
  readonly name: string
  /** 1 for the first value, one more for each other one. */
  readonly version: number
  /** When the value was set (ISO 8601), and by whom. */
  readonly at: string
  readonly by: string
  /** Which services of the config that holds need it. */
  readonly services: readonly string[]
}

export interface SetSecretRequest {
  /** Text without zero bytes, 64 KiB at most. */
  readonly value: string
  /** As `user@host`. */
  readonly by?: string
}

export interface RemoveSecretRequest {
  readonly by?: string
}

export interface SecretAccepted {
  readonly version: number
  /** False: it had this value already, and nothing is restarted. */
  readonly changed: boolean
  readonly what: string
}
