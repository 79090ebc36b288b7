/**
 * Sends the balancer of this node its secrets: its logins and its certificates. They are read again every minute, so
 * that a renewed file is in use soon, and the node's own certificate is replaced in time. A file that cannot be used
 * changes nothing: the last certificate stays, and the events say why.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BalancerSecret } from '../balancer/control-protocol.ts'
import type { NodeSpec, ServiceName, ServiceSpec } from '../core/model.ts'
import type { BalancerNeeds } from '../drivers/balancer-login.ts'
import { balancerNeedsOf } from '../drivers/index.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { endsAt, fits, type Pair } from './certificate-pair.ts'
import { ownCertificate } from './own-certificate.ts'
import type { Entry } from './repeats.ts'

const LOOK_EVERY_MS = 60_000
/** How long before a certificate ends operators are warned. */
const TELL_BEFORE_MS = 14 * 86_400_000

export interface EndpointSecretsParts {
  readonly cluster: { readonly services: readonly ServiceSpec[] }
  readonly node: NodeSpec
  /** The node's own state folder; its certificate is kept in `door-tls` there. */
  readonly nodeDir: string
  readonly clock: Clock
  secretFor(purpose: string): string
  readonly balancer: { confide(secrets: readonly BalancerSecret[]): void }
  tell(entry: Entry): void
}

export class EndpointSecrets {
  readonly #parts: EndpointSecretsParts
  #needs: readonly (readonly [ServiceName, BalancerNeeds])[] = []
  readonly #inUse = new Map<ServiceName, Pair>()
  /** What was said last about a service's certificate; said once. */
  readonly #told = new Map<ServiceName, string>()
  #confided = ''
  #cancel: Cancel = () => {}

  constructor(parts: EndpointSecretsParts) {
    this.#parts = parts
    this.#know(parts.cluster.services)
  }

  /** Other services are in the config from now on. */
  async fit(services: readonly ServiceSpec[]): Promise<void> {
    this.#know(services)
    await this.look()
  }

  #know(services: readonly ServiceSpec[]): void {
    this.#needs = services.flatMap((service) => {
      const needs = balancerNeedsOf(service, this.#parts.secretFor)
      return needs ? [[service.name, needs] as const] : []
    })
  }

  /** Resolves when the balancer was told for the first time. Never rejects. */
  async start(): Promise<void> {
    this.#cancel = superviseLoop({
      clock: this.#parts.clock,
      what: 'the look at the certificates',
      everyMs: LOOK_EVERY_MS,
      work: () => this.look(),
    }).stop
    await this.look()
  }

  stop(): void {
    this.#cancel()
  }

  async look(): Promise<void> {
    const secrets: BalancerSecret[] = []
    for (const [service, { login, tls, sessions }] of this.#needs) {
      const pair = tls === 'none' ? null : await this.#certificate(service, tls)
      secrets.push({ service, ...login, tls: pair, ...(sessions ? { sessions } : {}) })
    }
    const text = secrets.length === 0 ? '' : JSON.stringify(secrets)
    if (text === this.#confided) return
    this.#confided = text
    this.#parts.balancer.confide(secrets)
  }

  async #certificate(service: ServiceName, from: Exclude<BalancerNeeds['tls'], 'none'>): Promise<Pair | null> {
    const { clock, node, nodeDir } = this.#parts
    try {
      const pair =
        from === 'own' ? await ownCertificate(join(nodeDir, 'door-tls'), node, clock.wall()) : readFiles(from)
      this.#inUse.set(service, pair)
      this.#say(service, from === 'own' ? '' : whenItEnds(endsAt(pair), clock.wall(), from.cert))
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      const still = this.#inUse.has(service) ? 'the last one stays in use' : 'the endpoint speaks no TLS'
      this.#say(service, `the certificate of ${service} cannot be used (${what}): ${still}`)
    }
    return this.#inUse.get(service) ?? null
  }

  #say(service: ServiceName, why: string): void {
    const before = this.#told.get(service) ?? ''
    if (why === before) return
    this.#told.set(service, why)
    const rule = 'endpoint-certificate'
    if (why !== '') this.#parts.tell({ service, rule, kind: 'noticed', why })
    else this.#parts.tell({ service, rule, kind: 'ended', why: `no longer so: ${before}` })
  }
}

function readFiles({ cert, key }: Pair): Pair {
  const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  if (!fits(pair)) throw new Error(`${key} is not the key of ${cert}, or one of them is no PEM file`)
  return pair
}

function whenItEnds(endsAtMs: number, wallMs: number, file: string): string {
  if (endsAtMs - wallMs > TELL_BEFORE_MS) return ''
  const verb = endsAtMs <= wallMs ? 'ended' : 'ends'
  return `the certificate in ${file} ${verb} on ${new Date(endsAtMs).toISOString().slice(0, 16)}Z`
}
