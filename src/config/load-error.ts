/** Why a config file could not be read, parsed or run: where, and what, as one complaint. */
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import type { Complaint } from './complaint.ts'

export function explainLoadError(file: string, error: unknown): Complaint {
  const message = firstLine(error instanceof Error ? error.message : String(error))
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (/^ParseError: /.test(message)) {
    return cannotBeParsed(parsePosition(file, error), message.replace(/^ParseError: (?:"[^"]*": )?/, ''))
  }
  if (file.endsWith('.json') && error instanceof SyntaxError) {
    return cannotBeParsed(jsonPosition(file, message), message)
  }
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    const module = /Cannot find (?:module|package) '([^']+)'/.exec(message)?.[1] ?? message
    const write = 'the path of a file that is there, or install it'
    return { path: shortName(file), problem: `imports ${module}, which cannot be found`, write }
  }
  if (code === 'EACCES' || code === 'EISDIR' || code === 'EPERM') {
    return {
      path: shortName(file),
      problem: `cannot be read: ${message}`,
      write: 'the name of a file that you may read',
    }
  }
  // The compiled module calls `(0 , _understudy.http)` what was written as `http`.
  const problem = `failed when it was run: ${message.replace(/\(0 ?, ?_\w+\.(\w+)\)/g, '$1')}`
  return { path: throwPosition(file, error), problem, write: 'what can be run to its end' }
}

/** As a person would call it: from the current folder when it is there, else in full. */
export function shortName(file: string): string {
  const name = relative(process.cwd(), file)
  return name === '' || name.startsWith('..') ? file : name
}

function cannotBeParsed(path: string, what: string): Complaint {
  return { path, problem: `cannot be parsed: ${what.trim()}`, write: 'what the language asks for there' }
}

/** The parser ends its message with `file:line:column`, of this file or one that it imports; its columns begin at 0. */
function parsePosition(file: string, error: unknown): string {
  const place = /(\/[^\n]*?):(\d+):(\d+)/.exec(error instanceof Error ? error.message : '')
  return place === null ? shortName(file) : `${shortName(place[1] ?? file)}:${place[2]}:${Number(place[3]) + 1}`
}

/** `JSON.parse` tells an offset from the start of the text, or that it ended too soon. */
function jsonPosition(file: string, message: string): string {
  const offset = /at position (\d+)/.exec(message)?.[1]
  const before = readFileSync(file, 'utf8').slice(0, offset === undefined ? undefined : Number(offset))
  const lines = before.split('\n')
  return `${shortName(file)}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`
}

/**
 * The innermost line of a person's own files. Lines survive compiling, columns do not, so only the line is told.
 * Something that is thrown and is no Error has no stack: then the file alone.
 */
function throwPosition(file: string, error: unknown): string {
  const frames =
    error instanceof Error ? [...(error.stack ?? '').matchAll(/^ {4}at .*?(\/[^\n]*?):(\d+):\d+\)?$/gm)] : []
  const own = frames.find(([, path]) => path !== undefined && !path.includes('/node_modules/'))
  return own === undefined ? shortName(file) : `${shortName(own[1] ?? file)}:${own[2]}`
}

function firstLine(text: string): string {
  return stripVTControlCharacters(text).split('\n')[0]?.trim() || 'it threw nothing that explains itself'
}
