/** A port that grows is a port that leaks. The two that adapters are written for stay small. */
import ts from 'typescript'
import { parse, type Source, walk } from './source.ts'

export const PORTS = ['src/stores/store.ts', 'src/drivers/driver.ts']
const MOST = 8

export function checkPorts(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => PORTS.includes(path))
    .flatMap((source) => {
      const found: string[] = []
      walk(parse(source), (node) => {
        if (!ts.isInterfaceDeclaration(node)) return
        const methods = node.members.filter(ts.isMethodSignature).length
        if (methods > MOST) found.push(`${source.path}: ${node.name.text} has ${methods} methods; ${MOST} are enough`)
      })
      return found
    })
}
