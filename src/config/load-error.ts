/** Why a config file could not be read, parsed or run: where in it, and what, as one complaint. */
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import type { Complaint } from './complaint.ts'

export function explainLoadError(file: string, error: unknown): Complaint {
  const name = shortName(file)
  const message = firstLine(error instanceof Error ? error.message : String(error))
    // How the compiled module calls what it imports: `(0 , _understudy.http)` was written as `http`.
    .replace(/\(0 ?, ?_\w+\.(\w+)\)/g, '$1')
  const syntax = /(?:ParseError|SyntaxError): *(.*)/.exec(message)
  if (syntax !== null || error instanceof SyntaxError) {
    const what = (syntax?.[1] ?? message)
      .replace(/^"[^"]*": /, '')
      .replace(`${file}: `, '')
      .trim()
    return {
      path: `${name}${position(file, error)}`,
      problem: `cannot be parsed: ${what}`,
      write: 'what the language asks for there',
    }
  }
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    const module = /Cannot find (?:module|package) '([^']+)'/.exec(message)?.[1] ?? message
    return {
      path: name,
      problem: `imports ${module}, which cannot be found`,
      write: 'the path of a file that is there, or install it',
    }
  }
  if (code === 'EACCES' || code === 'EISDIR' || code === 'EPERM') {
    return { path: name, problem: `cannot be read: ${message}`, write: 'the name of a file that you may read' }
  }
  return {
    path: `${name}${position(file, error)}`,
    problem: `failed when it was run: ${message}`,
    write: 'what can be run to its end',
  }
}

/** As a person would call it: from the current folder when it is there, else in full. */
export function shortName(file: string): string {
  const name = relative(process.cwd(), file)
  return name === '' || name.startsWith('..') ? file : name
}

/** `:3:14`, when the error tells where in this file it happened; columns count from 1. */
function position(file: string, error: unknown): string {
  const text = error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : ''
  const start = text.indexOf(`${file}:`)
  const place = start < 0 ? null : /^:(\d+)(?::(\d+))?/.exec(text.slice(start + file.length))
  if (place !== null) return place[0]
  // JSON.parse tells an offset from the start of the text, or the end of it.
  const offset = /at position (\d+)/.exec(text)?.[1]
  const atEnd = /Unexpected end of JSON input/.test(text)
  if (offset === undefined && !atEnd) return ''
  const before = readFileSync(file, 'utf8').slice(0, atEnd ? undefined : Number(offset))
  const lines = before.split('\n')
  return `:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`
}

function firstLine(text: string): string {
  return stripVTControlCharacters(text).split('\n')[0]?.trim() || 'it threw nothing that explains itself'
}
