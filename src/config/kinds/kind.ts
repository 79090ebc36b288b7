/**
 * What the config must know about one kind of service: how its options are written, what is wrong between them, and how
 * they are compiled for its driver. Adding a kind: its driver's folder under drivers/ with a line in drivers/index.ts,
 * and one file here with a line in kinds/index.ts. Nothing else in this room names a kind.
 */
import type { z } from 'zod'
import type { EndpointSpec, Redundancy, ServiceTiming, Traits } from '../../core/model.ts'
import type { Replication } from '../../core/replicated/quorum-config.ts'
import type { Findings } from '../complaint.ts'
import type { ServiceOptions } from '../service-options.ts'

export interface Kind<Options extends ServiceOptions = ServiceOptions> {
  /** The name of the function that declares it, and of the driver that runs it. */
  readonly name: string
  readonly schema: z.ZodObject
  /** What the driver promises for a service with these options. */
  traits(options: Partial<Options>): Traits
  /** Complains about options that contradict each other. Those that were wrong by themselves are left out already. */
  check(path: string, options: Partial<Options>, findings: Findings): void
  /** Where clients connect, and which option says so. */
  endpoints(options: Partial<Options>): readonly PlacedEndpoint[]
  /** Ports that an instance itself always takes at its node's address, and which option says so. */
  ownPorts(options: Partial<Options>): readonly { readonly option: string; readonly port: number }[]
  /** Folders that an instance takes for its own, as written (`{node}` and all), and which option says so. */
  ownPlaces?(options: Partial<Options>): readonly { readonly option: string; readonly place: string }[]
  standby(options: Options): 'warm' | 'cold'
  /** What is right for this kind where neither the service nor the cluster says another: wins over the preset. */
  readonly timing?: Partial<ServiceTiming>
  /** For a kind that leaves no choice; otherwise the option says it. */
  readonly redundancy?: Redundancy
  /** For a kind whose standbys hold the data. */
  replication?(options: Options): Replication
  /** The driver's own options, plain JSON. `folder` is where relative paths start. */
  compile(options: Options, folder: string): Readonly<Record<string, unknown>>
}

export interface PlacedEndpoint {
  readonly option: string
  readonly endpoint: EndpointSpec
}
