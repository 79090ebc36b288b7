/** Columns without borders: aligned, the fewest signs possible, cut to the width of a terminal. */
import { stripVTControlCharacters } from 'node:util'
import Table from 'cli-table3'
import type { Io } from '../io.ts'

/** The group makes `split` keep the colours between the pieces of text. */
const COLOR = new RegExp(`(${String.fromCharCode(27)}\\[[0-9;]*m)`)

const NO_BORDERS = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((part) => [part, '']),
)

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Lines: the titles, then one for each row. An empty cell is shown as `-`, except in the last column. */
export function tableLines(io: Io, columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const table = new Table({
    head: columns.map(({ title }) => io.paint.dim(title)),
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    colAligns: columns.map(({ align }) => align ?? 'left'),
  })
  table.push(...rows.map((row) => row.map((cell, index) => cell || (index < row.length - 1 ? '-' : ''))))
  return table
    .toString()
    .split('\n')
    .map((line) => clip(io, line.trimEnd()))
}

/** As much of a line as the terminal is wide; elsewhere all of it. */
export function clip(io: Pick<Io, 'tty' | 'columns'>, line: string): string {
  if (!io.tty || stripVTControlCharacters(line).length <= io.columns) return line
  let kept = ''
  let room = io.columns - 1
  for (const part of line.split(COLOR)) {
    kept += COLOR.test(part) ? part : part.slice(0, room)
    if (!COLOR.test(part)) room = Math.max(0, room - part.length)
  }
  return `${kept}…`
}

/** Text in lines of at most so many characters, broken between words; all but the first are indented. Colours count nothing. */
export function wrapped(text: string, width: number, indent: string): string[] {
  const lines: string[] = []
  let line = /^ */.exec(text)?.[0] ?? ''
  for (const word of text.trim().split(' ')) {
    const longer = line.trim() === '' ? line + word : `${line} ${word}`
    const isFull = line.trim() !== '' && stripVTControlCharacters(longer).length > width
    if (isFull) lines.push(line)
    line = isFull ? indent + word : longer
  }
  return [...lines, line]
}
