/** A scenario that names what its cluster does not have is a slip of the pen: refused, because it could be met by nothing. */
import type { ClusterSpec } from '../../core/model.ts'
import { STORE } from '../store-handle.ts'
import type { Command } from './language.ts'

/** Throws with the line and with what there is. */
export function checkNames(command: Command, { nodes, services }: ClusterSpec): void {
  const isService = (name: string) => services.some((one) => one.name === name)
  if (command.do === 'restart' && command.target.what === 'node' && isService(command.target.node)) return
  const named = namesIn(command)
  refuseUnknown(command.text, 'node', named.nodes, nodes)
  refuseUnknown(command.text, 'service', named.services, services)
}

interface Named {
  readonly nodes: readonly string[]
  readonly services: readonly string[]
}

function namesIn(command: Command): Named {
  const nodes: string[] = []
  const services: string[] = []
  if ('node' in command) nodes.push(command.node)
  if ('a' in command) nodes.push(...[command.a, command.b].filter((end) => end !== STORE)) // `cut a store` parts a node from the store
  if ('by' in command && command.by !== null) nodes.push(command.by)
  if ('to' in command && command.to !== null) nodes.push(command.to)
  if ('service' in command && typeof command.service === 'string') services.push(command.service)
  if ('target' in command) {
    const { target } = command
    if (target.what !== 'primary') nodes.push(target.node)
    if (target.what === 'primary' || target.what === 'process') services.push(target.service)
  }
  return { nodes, services }
}

function refuseUnknown(
  text: string,
  what: string,
  named: readonly string[],
  known: readonly { readonly name: string }[],
): void {
  const names = known.map(({ name }) => name)
  const strange = named.find((name) => !names.includes(name))
  if (strange !== undefined) throw new Error(`${text}: no ${what} “${strange}”; there are: ${names.join(', ')}`)
}
