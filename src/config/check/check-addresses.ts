/** Each node an address of its own and, as long as the store is a file, all of them on this machine. */
import type { Findings } from '../complaint.ts'
import type { Draft } from '../draft.ts'

export function checkAddresses(draft: Draft, isLocal: (address: string) => boolean, findings: Findings): void {
  const owners = new Map<string, string>()
  for (const [name, { address }] of draft.nodes) {
    if (address === undefined) continue
    const path = `nodes.${name}.address`
    const owner = owners.get(address)
    if (owner !== undefined)
      findings.complain(path, `is ${address}, which node ${owner} has already`, 'an address of its own')
    else owners.set(address, name)
    if (!isLocal(address)) {
      const problem = `is ${address}, which is not of this machine; \`up\` runs all nodes on one and will refuse it`
      findings.warn(path, problem, 'an address of this machine, or leave it out')
    }
  }
}
