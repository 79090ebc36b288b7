/**
 * One server on one node, with everything that is kept about it: the ground that the verbs stand on. It knows how to bring
 * the files that the server reads into line with the record, and nothing about when that should be done.
 */

import { existsSync, statSync } from 'node:fs'
import type { NodeName, Outdated } from '../../core/model.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../errors.ts'
import { inBackground } from '../../lib/background.ts'
import { removeFile } from '../../lib/files.ts'
import { standsIn } from '../../lib/proc-folder.ts'
import { until } from '../../lib/until.ts'
import { mayReceive } from './files/durable-record.ts'
import { type Entry, hbaText, keptEntries } from './files/hba.ts'
import { repair, repairByComplaints, repairSettings } from './files/repair-folder.ts'
import { makeStandby } from './files/replica-folder.ts'
import {
  alteredSettings,
  conninfo,
  decodingArguments,
  includeOurs,
  keyText,
  replaceFile,
  settingsText,
  takeBack,
} from './files/server-settings.ts'
import { readIfThere } from './files/setting-files.ts'
import type { ReplicaParts } from './replica-parts.ts'
import { type OwnSocket, Session } from './server/admin-session.ts'
import { mayBeDamage, speaksOfDamage } from './server/failed-start.ts'
import {
  endOfLog,
  killRemains,
  killServer,
  lastWords,
  launch,
  otherOwner,
  type Postmaster,
} from './server/postmaster.ts'
import { SpareConnection } from './server/spare-connection.ts'
import {
  CAPACITY_JSON,
  type Capacity,
  capacityArguments,
  inControlFile,
  parseCapacity,
  shortfall,
} from './server/standby-capacity.ts'
import { keepIdentity, type StartedAs, startedAs, whatStarts } from './server/started-as.ts'
import { confirmingStandbys, decodes, SYNCHRONISES_SLOTS } from './slots/logical-slots.ts'
import { removeSlotsOfNoUse } from './slots/slot-files.ts'

const REPAIRS_TOLD = 5
/** It complains of one kind of unreadable lines at a time: of unknown names, of values, of libraries. And once for its port. */
const START_TRIES = 5
/** What a server that can be saved never says so often in a row: that a file of it is missing or damaged. */
const DAMAGE_LOOKS = 20

export class Replica {
  readonly parts: ReplicaParts
  /** Where the server listens, until another program is found to have that port. */
  port: number
  /** For the verbs. */
  readonly session: Session
  /** For observing: an observation that hangs must not hold up recruiting. */
  readonly watcher: Session
  /** For when the server is full. */
  readonly spare: SpareConnection
  postmaster: Postmaster | undefined
  /** The newest quorum whose row is known to be durable, since the server last started. */
  durable: QuorumConfig | null = null
  /** No standby can confirm a write (refuse-writes.ts): new transactions only read. */
  writesWait = false
  /** Who received from it when it was last looked at; null: not looked at yet. */
  streaming: readonly NodeName[] | null = null
  /** It is about to end as primary: present sessions may finish, and no new ones are accepted. */
  draining = false
  /** What the primary that it is about to follow runs with: it needs at least as much if it is started before it follows. */
  ofPrimary: Capacity = {}
  /** What the server that runs was started from; undefined: not known. */
  started: StartedAs | undefined
  /** How the server that runs differs from what the config says (config-comparison.ts). */
  outdated: Outdated | undefined
  /** What the server that runs was started with. */
  #inForce: { readonly of: Postmaster; readonly capacity: Capacity } | undefined
  /** What was repaired since the last start, as sentences (repair-folder.ts). */
  repairs: readonly string[] = []
  /** Starts and runs in a row that failed before the server was ever healthy, and for which damage may be the reason. */
  badRuns = 0
  /** A clone was made because of `badRuns`, and has not been healthy yet: another one would not help. */
  copiedAnew = false
  /** The server that runs has answered, and was found healthy; and it spoke of damage to its files. */
  readonly run = { answered: false, healthy: false, damaged: false }
  /** Why the server ends, when we end it ourselves. */
  farewell: string | undefined
  /** Called with each postmaster that is started or found. */
  onServer: (postmaster: Postmaster) => void = () => {}

  constructor(parts: ReplicaParts) {
    this.parts = parts
    const { clock, options } = parts
    this.port = parts.port
    this.spare = new SpareConnection(clock, () => this.socket)
    const { statementMs } = options.timing
    const sessionParts = { clock, socket: () => this.socket, statementMs, spare: () => this.spare.take() }
    this.session = new Session(sessionParts)
    this.watcher = new Session(sessionParts)
    this.session.onCut = () => this.postmaster?.check()
    this.watcher.onCut = () => this.postmaster?.check()
  }

  get record() {
    return this.parts.record.now
  }

  /** Where the server listens for ourselves. */
  get socket(): OwnSocket {
    return { socketDir: this.parts.folder.sockets, port: this.port }
  }

  get runs(): boolean {
    return this.postmaster !== undefined && !this.postmaster.isGone
  }

  /** A quorum row of its term is durable: the writes of clients from now on are confirmed by that quorum. */
  get quorumDurable(): boolean {
    return this.durable !== null && this.durable.term === this.record.leading?.term
  }

  /** Whether clients may log in: hba.ts says when not. */
  get entry(): Entry {
    const { leading, suspect, quarantinedUntil } = this.record
    const isUnsure = (leading !== null && !this.quorumDurable) || suspect || quarantinedUntil !== null
    return isUnsure || this.draining ? 'closed' : 'open'
  }

  /** Brings the files that the server reads into line with the record. The key first when it goes, last when it comes. */
  writeFiles(): void {
    const { folder } = this.parts
    const { following } = this.record
    const receives = mayReceive(this.record) && following !== null
    if (!receives) this.takeKey()
    const { hba, settings } = this.#texts()
    replaceFile(folder, folder.hbaPath, hba)
    replaceFile(folder, folder.settingsPath, settings)
    if (receives) replaceFile(folder, folder.keyPath, keyText(following.primary, this.parts.replicationPassword))
  }

  /** Would `writeFiles` change what the server reads? */
  get filesDiffer(): boolean {
    const { hbaPath, settingsPath } = this.parts.folder
    const { hba, settings } = this.#texts()
    return readIfThere(hbaPath) !== hba || readIfThere(settingsPath) !== settings
  }

  #texts(): { readonly hba: string; readonly settings: string } {
    const { folder, options, node, address, binaries } = this.parts
    const { following, leading, lineage } = this.record
    const { version } = binaries
    const synchronises = version >= SYNCHRONISES_SLOTS && decodes(options.settings)
    const primary = mayReceive(this.record) ? following?.primary : undefined
    const info = primary ? conninfo(primary, node, folder.keyPath, options.timing, synchronises) : ''
    const confirming = confirmingStandbys(leading, this.streaming)
    const is = { node, address, port: this.port, version, options, leading, lineage, confirming }
    const places = { hbaFile: folder.hbaPath, sockets: folder.sockets, inPlace: binaries.hasTablespacesInPlace }
    const hba = [...options.hba, ...(options.adopt ? keptEntries(folder) : [])]
    return {
      hba: hbaText(this.entry, leading !== null, { hba }),
      settings: settingsText({ ...is, ...places, conninfo: info, writesWait: this.writesWait }),
    }
  }

  /** From now on no receiver can begin to stream: it has no password. */
  takeKey(): void {
    removeFile(this.parts.folder.keyPath)
  }

  /** Tells the server to read its files again, after writing them. */
  reload(): void {
    // The server heeds nothing of a file with a line that it cannot read, the end of a receiver included.
    this.repaired(repairSettings(this.parts.folder))
    this.writeFiles()
    if (!this.postmaster?.signal('SIGHUP')) throw new UnderstudyError('UND_REFUSED', 'no server runs here')
  }

  /**
   * ALTER SYSTEM was used for what only the cluster may set: it is taken out of the file, and out of force. The server
   * does it, because it alone can lock that file against the next ALTER SYSTEM, which would otherwise be lost silently.
   * Where it does not, the agent does it: what acknowledgements depend on matters more.
   */
  async takeBack(): Promise<void> {
    const { folder, tell } = this.parts
    if (!this.runs) return
    const repaired = repairSettings(folder)
    if (repaired.length > 0) {
      this.repaired(repaired)
      this.reload()
    }
    const names = alteredSettings(folder.data)
    if (names.length === 0) return
    for (const name of names)
      await this.watcher.query(`alter system reset ${name}`).catch(() => takeBack(folder, folder.data))
    if (!this.runs) return
    this.reload()
    tell(`${names.join(', ')} was set with ALTER SYSTEM, and is taken back: use the config`)
  }

  /** Told now, and with every note for as long as this server runs. */
  repaired(done: readonly string[]): void {
    if (done.length === 0) return
    this.repairs = [...this.repairs, ...done].slice(-REPAIRS_TOLD)
    this.parts.tell(done.join('; '))
  }

  /** Reads its files again, and resolves when a session sees `value` in force. */
  async reloadAndSee(name: string, value: string): Promise<void> {
    this.reload()
    const { clock, options } = this.parts
    const patience = { clock, everyMs: 1, withinMs: options.timing.statementMs, what: `${name} = '${value}'` }
    await until(patience, async () => {
      const row = await this.session.one('select current_setting($1) as value', [name])
      return row.value === value
    })
  }

  /** Starts the server as the record says, and resolves when it answers. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.runs) return this.untilItAnswers(signal)
    const { folder } = this.parts
    this.#refuseAnothers()
    if (this.run.answered) this.repairs = []
    this.repaired(await repair(folder))
    if (folder.content() === 'damaged')
      throw new UnderstudyError('UND_REFUSED', `the database in ${folder.data} is damaged: PG_VERSION cannot be read`)
    if (folder.content() !== 'data') throw new UnderstudyError('UND_REFUSED', `there is no database in ${folder.data}`)
    if (this.record.torn)
      throw new UnderstudyError('UND_REFUSED', 'its data is of two histories, or was shared: it has to be copied anew')
    // A replica that is not primary must not come up as one, whatever it was when it ended.
    if (this.record.leading === null) makeStandby(folder)
    if (this.record.leading === null) removeSlotsOfNoUse(folder.data, decodes(this.parts.options.settings))
    this.streaming = null
    includeOurs(folder, folder.data)
    this.durable = null
    this.draining = false
    this.farewell = undefined
    for (let tries = 1; ; tries += 1) {
      const logBytes = bytesOf(folder.logPath)
      try {
        return await this.#run(logBytes, signal)
      } catch (error) {
        if (this.runs || tries >= START_TRIES || !(await this.#canTryAgain(logBytes))) throw error
      }
    }
  }

  /** Two nodes with one data folder: each would end the other's server. */
  #refuseAnothers(): void {
    const { folder, node } = this.parts
    const other = this.runs ? null : otherOwner(folder, node)
    if (other === null) return
    const why = `${folder.data} is in use by node ${other}: each node needs a data folder of its own`
    throw new UnderstudyError('UND_REFUSED', why)
  }

  /** What it ended for is out of the way. */
  async #canTryAgain(logBytes: number): Promise<boolean> {
    const { folder } = this.parts
    const done = repairByComplaints(folder, endOfLog(folder, logBytes))
    this.repaired(done)
    if (done.length > 0) this.badRuns = 0
    return done.length > 0 || this.#leavesItsPort()
  }

  async #run(logBytes: number, signal?: AbortSignal): Promise<void> {
    const { folder, clock, options } = this.parts
    const { binaries, port } = await this.parts.refresh()
    this.parts.binaries = binaries
    if (port !== null && port !== this.port) {
      this.parts.record.change({ port })
      this.port = port
    }
    this.writeFiles()
    const capacity = capacityArguments(folder.data, existsSync(folder.standbySignal), this.ofPrimary)
    Object.assign(this.run, { answered: false, healthy: false, damaged: false })
    let launched: Postmaster | undefined
    try {
      launched = await launch(folder, binaries, clock, [...capacity, ...decodingArguments(options.settings)])
      this.hold(launched, whatStarts(this.parts))
      await this.untilItAnswers(signal)
      this.run.answered = true
    } catch (error) {
      const isDamaged = this.run.damaged && this.runs
      const failed = { error, how: launched?.how ?? '', said: endOfLog(folder, logBytes) }
      if (isDamaged || (!this.runs && this.farewell === undefined && mayBeDamage(failed))) this.badRuns += 1
      if (isDamaged) await this.end('immediate', 500, 'its files are damaged')
      throw error
    }
  }

  /** False when no other program listens there: it ended for another reason. */
  async #leavesItsPort(): Promise<boolean> {
    const { record, address, tell, findPort } = this.parts
    const before = this.port
    this.port = await findPort(before)
    if (this.port === before) return false
    record.change({ port: this.port })
    tell(`another program listens on ${address}:${before}: the server has port ${this.port} from now on`)
    return true
  }

  /**
   * A sentence: with which settings the server that runs has less than its primary, so that it cannot be promoted before it is
   * started anew; null: it has enough.
   */
  async shortfall(asked: Session, needed: Capacity = inControlFile(this.parts.folder.data)): Promise<string | null> {
    const { postmaster } = this
    if (postmaster === undefined) return null
    if (this.#inForce?.of !== postmaster) {
      const row = await asked.one(`select ${CAPACITY_JSON} as it`)
      this.#inForce = { of: postmaster, capacity: parseCapacity(row.it) }
    }
    return shortfall(needed, this.#inForce.capacity)
  }

  /** `started`: what it was started from; absent when an earlier agent started it and wrote that down. */
  hold(postmaster: Postmaster, started = startedAs(this.parts.folder, postmaster.identity)): void {
    this.postmaster = postmaster
    this.started = started
    this.outdated = undefined
    keepIdentity(this.parts.folder, postmaster.identity, started)
    inBackground(
      postmaster.gone.then(() => this.hangUp()),
      'hanging up',
    )
    this.onServer(postmaster)
  }

  /** Recovery included; rejects at once when the server ends instead. */
  async untilItAnswers(signal?: AbortSignal): Promise<void> {
    const { clock, options, folder } = this.parts
    const patience = { clock, everyMs: 5, withinMs: options.timing.startMs, what: 'an answer of the server' }
    let damaged = 0
    await until(signal ? { ...patience, signal } : patience, async () => {
      if (!this.runs)
        throw new UnderstudyError('UND_REFUSED', `the server ended: ${lastWords(folder, this.postmaster?.logFrom)}`)
      try {
        await this.session.query('select 1')
        return true
      } catch (error) {
        damaged = speaksOfDamage(error) ? damaged + 1 : 0
        this.run.damaged = damaged >= DAMAGE_LOOKS
        if (this.run.damaged) throw new UnderstudyError('UND_REFUSED', `its files are damaged: ${String(error)}`)
        return false // starting, recovering or not yet consistent: asked again until the deadline
      }
    })
  }

  /**
   * Ends the server and resolves when nothing is left. `fast` lets the standbys have everything first; `immediate`
   * waits for nothing. What does not end in time is killed.
   */
  async end(how: 'fast' | 'immediate' | 'kill', withinMs: number, why: string): Promise<void> {
    const { postmaster } = this
    const { clock, folder } = this.parts
    this.farewell ??= why
    if (postmaster && !postmaster.isGone && how !== 'kill' && !postmaster.isFrozen) {
      postmaster.signal(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
      const patience = { clock, everyMs: 5, withinMs, what: 'the end of the server' }
      await until(patience, () => postmaster.isGone).catch(() => {}) // it did not obey: it is killed below
    }
    this.hangUp()
    this.#refuseAnothers()
    await killRemains(folder.data, clock)
    if (!postmaster) return
    postmaster.check()
    if (!postmaster.isGone && standsIn(postmaster.identity.pid) !== null) killServer(postmaster.identity) // its folder was moved
    // One that is ending stands in no folder any more, and is still there for a moment.
    await until({ clock, everyMs: 2, withinMs: 10_000, what: 'the end of the postmaster' }, () => {
      postmaster.check()
      return postmaster.isGone
    })
  }

  /** Closes our own connections: they are opened again when they are needed. */
  hangUp(): void {
    this.session.close()
    this.watcher.close()
    this.spare.close()
  }

  async inRecovery(): Promise<boolean> {
    return (await this.session.one('select pg_is_in_recovery() as it')).it === true
  }
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
