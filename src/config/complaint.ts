/**
 * What is wrong with a config, as data. A complaint says where, what is wrong there, and what to write instead; all of
 * them are collected before any is shown, so that a config is put right in one go.
 */
import { UnderstudyError } from '../errors.ts'

export interface Complaint {
  /** Where it was written: `services.web.listen`. A file that does not load has `understudy.config.ts:3:14`. */
  readonly path: string
  /** What is wrong, to be read after the path: `is "80 80", not a port`. */
  readonly problem: string
  /** What would be right: `a whole number from 1 to 65535, such as 8080`. */
  readonly write: string
}

/** Everything that is wrong with one config. `complaints` is never empty. */
export class InvalidConfig extends UnderstudyError {
  readonly complaints: readonly Complaint[]
  /** The file it was read from, when it was read from one. */
  readonly file: string | undefined

  constructor(complaints: readonly Complaint[], options: { file?: string | undefined; cause?: unknown } = {}) {
    const first = complaints[0]
    const more = complaints.length > 1 ? ` (and ${complaints.length - 1} more)` : ''
    super('UND_CONFIG_INVALID', `${first?.path} ${first?.problem}; write ${first?.write}${more}`, options)
    this.complaints = complaints
    this.file = options.file
  }
}

/** Where complaints and warnings go while a config is read. Saying the same of the same place twice counts once. */
export class Findings {
  readonly #complaints = new Map<string, Complaint>()
  readonly #warnings = new Map<string, Complaint>()

  /** It cannot be used like this. */
  complain(path: string, problem: string, write: string): void {
    this.#complaints.set(`${path} ${problem}`, { path, problem, write })
  }

  /** It can be used, and is probably not what was meant. */
  warn(path: string, problem: string, write: string): void {
    this.#warnings.set(`${path} ${problem}`, { path, problem, write })
  }

  get complaints(): readonly Complaint[] {
    return [...this.#complaints.values()]
  }

  get warnings(): readonly Complaint[] {
    return [...this.#warnings.values()]
  }
}

/** `services.web.listen`, `nodes["Bad name"]`, `services.web.run[2]`: as it would be written in TypeScript. */
export function pathOf(...segments: readonly PropertyKey[]): string {
  return under('', ...segments)
}

/** The same, for something that stands under a path that is written already. */
export function under(start: string, ...segments: readonly PropertyKey[]): string {
  let path = start
  for (const segment of segments) {
    if (typeof segment === 'number') path += `[${segment}]`
    else if (/^[\p{ID_Start}_$][\p{ID_Continue}$-]*$/u.test(String(segment)))
      path += path === '' ? String(segment) : `.${String(segment)}`
    else path += `[${JSON.stringify(String(segment))}]`
  }
  return path
}

/** A value as a complaint shows it: short, on one line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0 ? 'empty' : 'an object'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
