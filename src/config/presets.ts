/**
 * How patient a cluster is, as two sets of numbers. A preset comes before any knob: every number here can be overridden
 * under `timing` (for the cluster) or on a service, and `config/check/check-timing.ts` holds what must be true between them.
 *
 * Sources: "measured" are figures taken on the machines that this was built on, "derived" follows from another number
 * here, "judgement" is a choice that could have been another one.
 */
import type { ClusterTiming, ServiceTiming } from '../core/model.ts'

export type PresetName = 'lan' | 'wan'

export interface Preset {
  readonly cluster: ClusterTiming
  readonly service: ServiceTiming
}

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  /** One machine, or machines a millisecond or so apart. */
  lan: {
    cluster: {
      heartbeatMs: 100, // judgement: ten small messages a second to each peer are not worth saving
      suspectFloorMs: 300, // derived: three heartbeats; a late one and a lost one may come together
      suspectCeilingMs: 600, // derived: twice the floor; a garbage collection of 300 ms is no death
      lostAfterMs: 2_000, // judgement: an agent that was killed is back within a second, and its instances ran on
      staggerMs: 150, // measured: one swap in the embedded store takes 16 ms at the 99th percentile; nine times that
    },
    service: {
      leaseMs: 2_000, // judgement: 20 heartbeats; the wait after a silent loss, against renewals that a busy disk delays
      graceMs: 10_000, // convention: what Docker gives a process between SIGTERM and SIGKILL
      settleMs: 300, // derived: a routing table reaches every balancer within one heartbeat; three of them
      startWithinMs: 30_000, // judgement: a slow start of a large application, and still within a person's patience
      unhealthyForMs: 3_000, // derived: twelve failed checks in a row are no hiccup; balancers went elsewhere long before
      probeEveryMs: 250, // measured: with it an expert's HAProxy notices a hung process within 0.85 s
      probeTimeoutMs: 250, // derived: as long as the interval, so that at most one check is under way
      holdMs: 5_000, // derived: longer than lease + start of a small process, shorter than a browser user's patience
    },
  },
  /** Sites tens of milliseconds apart, with loss and jitter between them. About five times as patient. */
  wan: {
    cluster: {
      heartbeatMs: 500, // convention: the gossip interval of HashiCorp memberlist's WAN defaults (LAN: 200 ms)
      suspectFloorMs: 1_500, // derived: three heartbeats
      suspectCeilingMs: 3_000, // derived: twice the floor; one TCP retransmission (1 s) is no death
      lostAfterMs: 10_000, // derived: five times `lan`
      staggerMs: 750, // derived: five times `lan`; a round trip through a store's majority at 100 ms fits four times
    },
    service: {
      leaseMs: 10_000, // derived: 20 heartbeats, as in `lan`
      graceMs: 10_000, // a process on one machine: distance changes nothing
      settleMs: 1_500, // derived: three heartbeats, as in `lan`
      startWithinMs: 30_000, // a process on one machine: distance changes nothing
      unhealthyForMs: 10_000, // judgement: replacing an instance across sites costs more than waiting
      probeEveryMs: 1_000, // convention: the usual interval of health checks between sites
      probeTimeoutMs: 1_000, // derived: one lost SYN is repeated after 1 s; a check that needs two is late
      holdMs: 15_000, // derived: longer than the lease
    },
  },
}
