/** Complaints as printed: one block each, paths in one column, what to write under what is wrong. */
import { basename } from 'node:path'
import type { UnderstudyError } from '../errors.ts'
import { type Complaint, InvalidConfig } from './complaint.ts'

const WIDEST_PATH = 44

/** The text of a config error, complete, without a newline at its end. Ends with a count. */
export function printComplaints(error: UnderstudyError): string {
  if (!(error instanceof InvalidConfig)) return error.message
  const { complaints, file } = error
  const count = complaints.length === 1 ? '1 complaint' : `${complaints.length} complaints`
  const head = `${file === undefined ? 'The config' : basename(file)} cannot be used as it is written:`
  return [head, '', ...blocks(complaints), `${count}. Nothing was started or changed.`].join('\n')
}

/** The text of warnings: empty when there are none. */
export function printWarnings(warnings: readonly Complaint[]): string {
  if (warnings.length === 0) return ''
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`
  return [...blocks(warnings), `${count}. The config can be used.`].join('\n')
}

function blocks(complaints: readonly Complaint[]): string[] {
  const width = Math.min(WIDEST_PATH, Math.max(...complaints.map(({ path }) => path.length)))
  const indent = ' '.repeat(width + 4)
  return complaints.flatMap(({ path, problem, write }) => {
    const start = path.length <= width ? `  ${path.padEnd(width)}  ` : `  ${path}\n${indent}`
    return [`${start}${problem}`, `${indent}write ${write}`, '']
  })
}
