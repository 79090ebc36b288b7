/** How a front door that speaks a service's own protocol logs in there for itself. */
export interface DoorLogin {
  readonly user: string
  readonly password: string
  readonly database: string
}
