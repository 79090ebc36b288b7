/** What this node's earlier agents told: kept in files, read once at the start. */
import { join } from 'node:path'
import type { EventRecord, Receipt } from '../api/api-types.ts'
import type { Journal } from './journal.ts'
import { RecordFile } from './record-file.ts'
import { isEventRecord, isReceipt } from './record-shapes.ts'

const EVENTS = 200
const RECEIPTS = 50

export class EarlierRecords {
  readonly #events: RecordFile<EventRecord>
  readonly #receipts: RecordFile<Receipt>

  constructor(nodeDir: string) {
    this.#events = new RecordFile(join(nodeDir, 'events.ndjson'), isEventRecord)
    this.#receipts = new RecordFile(join(nodeDir, 'receipts.ndjson'), isReceipt)
  }

  readonly remember = (what: 'events' | 'receipts', record: EventRecord | Receipt): void => {
    if (what === 'events') this.#events.append(record as EventRecord)
    else this.#receipts.append(record as Receipt)
  }

  recallInto(journal: Journal): void {
    const tell = (why: string) => journal.tell({ service: null, rule: 'agent', kind: 'noticed', why })
    journal.recall(
      orNone(() => this.#events.last(EVENTS), tell),
      orNone(() => this.#receipts.last(RECEIPTS), tell),
    )
  }
}

/** An agent works without its history, and says that it does. */
function orNone<T>(read: () => T[], tell: (why: string) => void): T[] {
  try {
    return read()
  } catch (error) {
    tell((error as Error).message)
    return []
  }
}
