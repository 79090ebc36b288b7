/** The comments on the public option types, read from the source, to be compared with what the schemas say. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

export interface Docstring {
  readonly means: string
  readonly default: string | undefined
  readonly optional: boolean
}

/** By interface, then by option; inherited ones stand where they are declared. */
export function readDocstrings(root: string, path: string): ReadonlyMap<string, ReadonlyMap<string, Docstring>> {
  const file = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true)
  const interfaces = file.statements.filter(ts.isInterfaceDeclaration)
  return new Map(interfaces.map((one) => [one.name.text, new Map(one.members.flatMap(docstring))]))
}

function docstring(member: ts.TypeElement): [string, Docstring][] {
  if (!ts.isPropertySignature(member)) return []
  const [comment] = ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc)
  const tag = comment?.tags?.find(({ tagName }) => tagName.text === 'default')
  const doc = {
    means: flat(ts.getTextOfJSDocComment(comment?.comment) ?? ''),
    default: tag && flat(ts.getTextOfJSDocComment(tag.comment) ?? ''),
    optional: member.questionToken !== undefined,
  }
  return [[member.name.getText(), doc]]
}

function flat(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
