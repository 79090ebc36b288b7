/**
 * Plausible mistakes, each a line or two. They are kept as changes to the source text and not as switches in the program:
 * nothing that is shipped can turn one on, and the production code stays as readable as without them. A mutant whose text
 * is not found any more fails the test, so the list cannot rot.
 */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** What a person who made this mistake would have thought. */
  readonly means: string
  /** The promise that it breaks. */
  readonly breaks: 'one writer' | 'nothing is lost' | 'terms' | 'service comes back' | 'calm' | 'roll-outs'
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'lease-stamped-after-reply',
    file: 'agent/node-lease.ts',
    from: 'this.#lease = leaseRenewed(this.#lease, sentAt)',
    to: 'this.#lease = leaseRenewed(this.#lease, this.#parts.clock.mono())',
    means: 'the lease counts from when the renewal was answered',
    breaks: 'one writer',
  },
  {
    name: 'kill-margin-left-out',
    file: 'core/lease.ts',
    from: 'return lease.endsAt - Math.min(MARGIN_MAX_MS, lease.ttlMs * MARGIN_SHARE)',
    to: 'return lease.endsAt',
    means: 'killing takes no time',
    breaks: 'one writer',
  },
  {
    name: 'lease-longer-than-the-store-says',
    file: 'core/lease.ts',
    from: 'return { ...lease, endsAt: sentAt + lease.ttlMs }',
    to: 'return { ...lease, endsAt: sentAt + lease.ttlMs * 1.5 }',
    means: 'a little grace on top',
    breaks: 'one writer',
  },
  {
    name: 'no-comparison-of-the-lead',
    file: 'agent/leads.ts',
    from: '          { key: KEY.service(service.name), revision },\n          { key: KEY.lead(service.name), revision: 0 },\n',
    to: '',
    means: 'the lead was free a moment ago',
    breaks: 'terms',
  },
  {
    name: 'term-not-raised',
    file: 'core/problems/no-primary.ts',
    from: 'term: record.term + 1',
    to: 'term: Math.max(1, record.term)',
    means: 'the same node may keep its term',
    breaks: 'terms',
  },
  {
    name: 'lead-given-up-before-the-process-is-gone',
    file: 'core/problems/primary-down.ts',
    from: "const hasEnded = instance.state === 'stopped' && instance.term === term",
    to: "const hasEnded = (instance.state === 'stopped' || instance.state === 'stopping') && instance.term === term",
    means: 'it is ending anyway',
    breaks: 'one writer',
  },
  {
    name: 'fence-armed-after-the-start',
    file: 'agent/act.ts',
    from: '...(covers && { beforeRun })',
    to: '',
    means: 'the renewal arms the fence soon enough',
    breaks: 'one writer',
  },
  {
    name: 'fence-not-armed-by-renewals',
    file: 'agent/node-lease.ts',
    from: 'await this.#parts.renewed()',
    to: '',
    means: 'it is armed already',
    breaks: 'service comes back',
  },
  {
    name: 'no-fence-for-a-promoted-standby',
    file: 'agent/act.ts',
    from: 'await leads.cover(step.service, step.term, { pid: instance.pid, startTime: instance.startTime })',
    to: '',
    means: 'it runs already, so it is guarded already',
    breaks: 'one writer',
  },
  {
    name: 'no-last-guard',
    file: 'sim/fence-model.ts',
    from: "this.#kill(identity, 'last guard')",
    to: 'return',
    means: 'agent and fence do not die together',
    breaks: 'one writer',
  },
  {
    name: 'adopted-without-renewing',
    file: 'agent/leads.ts',
    from: 'await this.#world.store.renew(id)\n',
    to: '',
    means: 'the store says that the lead is ours',
    breaks: 'one writer',
  },
  {
    name: 'adopted-without-the-fence',
    file: 'agent/leads.ts',
    from: '{ term: lead.term, on, identity, adopted: true, takenOverAt: this.#world.clock.mono() }',
    to: '{ term: lead.term, on, identity: null, adopted: true, takenOverAt: null }',
    means: 'the fence knows it from the agent before',
    breaks: 'service comes back',
  },
  {
    name: 'leads-kept-after-their-lease-was-lost',
    file: 'agent/node-lease.ts',
    from: 'await this.#parts.store.renew(this.#lease.id)',
    to: 'await this.#parts.store.renew(this.#lease.id).catch(() => undefined)',
    means: 'one renewal that was refused is no reason to kill everything here',
    breaks: 'one writer',
  },
  {
    name: 'a-lease-guards-its-first-lead-only',
    file: 'agent/leads.ts',
    from: 'return [...this.#held].filter(([, { on }]) => on === lease).map(([service]) => service)',
    to: 'return [...this.#held].filter(([, { on }]) => on === lease).map(([service]) => service).slice(0, 1)',
    means: 'a lease and the lead on it are the same',
    breaks: 'service comes back',
  },
  {
    name: 'a-lead-that-was-won-has-a-full-lease',
    file: 'agent/leads.ts',
    from: 'arm(service, held.identity, held.on.killAt)',
    to: 'arm(service, held.identity, this.#world.clock.mono() + held.on.ttlMs * 0.875)',
    means: 'it was won a moment ago',
    breaks: 'one writer',
  },
  {
    name: 'the-lease-ends-with-one-of-its-leads',
    file: 'agent/leads.ts',
    from: '    this.#held.delete(service)\n    if (held?.identity)',
    to: '    this.#held.delete(service)\n    if (held) await store.release(held.on.id)\n    if (held?.identity)',
    means: 'who gives up its lead needs no lease',
    breaks: 'one writer',
  },
  {
    name: 'writer-without-a-lease-killed-at-once',
    file: 'core/problems/two-writers.ts',
    from: 'if (!lease && mayBeTakenOver(view, service, instance.term)) return undefined',
    to: '',
    means: 'a primary without a lease is killed',
    breaks: 'terms',
  },
  {
    name: 'own-timer-and-fence-forgotten',
    file: 'core/lease.ts',
    from: 'return lease.endsAt - Math.min(MARGIN_MAX_MS, lease.ttlMs * MARGIN_SHARE)',
    to: 'return lease.endsAt + lease.ttlMs',
    means: 'one missed renewal should not kill anything',
    breaks: 'one writer',
  },
  {
    name: 'a-restarted-agent-starts-in-the-old-term',
    file: 'core/problems/primary-down.ts',
    from: 'const isUnused = (view.local.leases[service.name]?.adopted ?? false) && instance.term !== term',
    to: 'const isUnused = false',
    means: 'the lead is ours, so it can be used',
    breaks: 'terms',
  },
  {
    name: 'stuck-winner',
    file: 'core/problems/primary-not-started.ts',
    from: 'view.local.failedIn[service.name]?.term === lead.term ?',
    to: 'view.local.failedIn[service.name]?.term === -1 ?',
    means: 'it will start at the next try',
    breaks: 'service comes back',
  },
  {
    name: 'surplus-never-ends',
    file: 'core/problems/instance-surplus.ts',
    from: "steps: mayGo ? [{ kind: 'stop'",
    to: "steps: mayGo && view.now < 0 ? [{ kind: 'stop'",
    means: 'one more does no harm',
    breaks: 'service comes back',
  },
  {
    name: 'a-lost-node-is-never-back',
    file: 'agent/peers.ts',
    from: 'peer.condemnedSince = condemned ? (peer.condemnedSince ?? now) : null',
    to: 'peer.condemnedSince = condemned || peer.condemnedSince !== null ? (peer.condemnedSince ?? now) : null',
    means: 'who was condemned once stays condemned',
    breaks: 'service comes back',
  },
  {
    name: 'reports-of-an-older-clock-ignored',
    file: 'agent/peers.ts',
    from: 'if (isOlder && now - peer.reportedAt < OVERTAKEN_MS) return',
    to: 'if (isOlder) return',
    means: 'a lower incarnation is an agent that died',
    breaks: 'service comes back',
  },
  {
    name: 'failed-step-never-tried-again',
    file: 'agent/steps-under-way.ts',
    from: 'this.#options.clock.after(backoffMs(failures, isUrgent(step) ? URGENT_BACKOFF : BACKOFF), release)',
    to: '',
    means: 'the next turn decides the same step again',
    breaks: 'service comes back',
  },
]
