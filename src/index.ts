/**
 * PUBLIC: what a config file imports from 'understudy'. It loads no third-party code.
 *
 * load.ts hands the same values to config files that it loads, whether or not the package is installed beside them; a
 * test compares the two lists.
 */

export type {
  ApiOptions,
  ClusterOptions,
  Declaration,
  Duration,
  NodeOptions,
  ServiceTimingOptions,
  Size,
  TimingOptions,
} from './config/cluster-options.ts'
export { command, defineCluster, http, postgres, secret } from './config/define.ts'
export type {
  PostgresDatabaseOption,
  PostgresLimitOptions,
  PostgresOptions,
  PostgresSessionOptions,
} from './config/postgres-options.ts'
export type { PresetName } from './config/presets.ts'
export type {
  CheckOption,
  CommandOptions,
  HttpCheckOption,
  HttpEndpointOptions,
  HttpOptions,
  LimitOptions,
  LogOptions,
  ObjectiveOptions,
  ProcessServiceOptions,
  PromoteOption,
  PromoteSignal,
  RunOption,
  ServiceOptions,
  StatusOption,
  StopSignal,
  TcpEndpointOptions,
} from './config/service-options.ts'
export type { Redundancy, Traits } from './core/model.ts'
export type { SecretRef } from './core/secrets.ts'
export { ERRORS, type ErrorCode, hasCode, UnderstudyError } from './errors.ts'
