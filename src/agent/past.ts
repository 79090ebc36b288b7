/** What this node's earlier agents told: kept in files, read once at the start. */
import { join } from 'node:path'
import type { EventRecord, Receipt } from '../api/contract.ts'
import type { Journal } from './journal.ts'
import { RecordFile } from './record-file.ts'

const EVENTS = 200
const RECEIPTS = 50

export class Past {
  readonly #events: RecordFile<EventRecord>
  readonly #receipts: RecordFile<Receipt>

  constructor(nodeDir: string) {
    this.#events = new RecordFile(join(nodeDir, 'events.ndjson'))
    this.#receipts = new RecordFile(join(nodeDir, 'receipts.ndjson'))
  }

  readonly remember = (what: 'events' | 'receipts', record: EventRecord | Receipt): void => {
    if (what === 'events') this.#events.append(record as EventRecord)
    else this.#receipts.append(record as Receipt)
  }

  recallInto(journal: Journal): void {
    journal.recall(this.#events.last(EVENTS), this.#receipts.last(RECEIPTS))
  }
}
