/**
 * Events and receipts as they come from a file or from another agent, perhaps of another version: what this one needs must be
 * there and of its type, what it does not know is kept.
 */
import type { EventRecord, Receipt } from '../api/api-types.ts'
import { areNumbers, areTexts, fieldsOf } from '../lib/shapes.ts'

export function isEventRecord(value: unknown): value is EventRecord {
  const { id, at, node, service, rule, kind, why } = fieldsOf<EventRecord>(value)
  return areTexts(id, at, node, rule, kind, why) && (service === null || areTexts(service))
}

export function isReceipt(value: unknown): value is Receipt {
  const { id, service, kind, rule, why, from, to, term, noticedAt, marks, backAfterMs } = fieldsOf<Receipt>(value)
  return (
    areTexts(id, service, kind, rule, why, to, noticedAt) &&
    (from === null || areTexts(from)) &&
    areNumbers(term, backAfterMs) &&
    Array.isArray(marks) &&
    marks.every((mark) => areTexts(fieldsOf<Mark>(mark).name) && areNumbers(fieldsOf<Mark>(mark).atMs))
  )
}

type Mark = Receipt['marks'][number]
