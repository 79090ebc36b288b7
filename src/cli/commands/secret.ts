/**
 * Secrets of a cluster: set, listed, removed. A value comes from standard input or a file and never from an argument, which every
 * user of the machine can read in the list of processes. Agents that run are asked; without any, the store is opened here, so that
 * the first `up` finds its secrets.
 */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { Argument } from 'commander'
import type { SecretEntry } from '../../client/index.ts'
import { UnderstudyError } from '../../errors.ts'
import type { CommonOptions } from '../cluster-session.ts'
import { readInput } from '../hidden-input.ts'
import type { Io } from '../io.ts'
import { tableLines } from '../print/columns.ts'
import { openSecrets } from '../secrets-access.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface SecretOptions extends CommonOptions {
  readonly file?: string
}

/** A value has 64 KiB at most; the newline at its end is no part of it. */
const MOST_BYTES = 64 * 1024 + 2

export const addSecret: AddCommand = (program, io) => {
  clusterCommand(program, 'secret', 'set, list or remove what no config should hold', EXAMPLE)
    .addArgument(new Argument('<action>', 'what to do').choices(['set', 'list', 'rm']))
    .argument('[name]', 'the name of the secret, as in secret(NAME) of a config')
    .option('--file <file>', 'set: the file that holds the value (default: standard input)')
    .action(async (action: 'set' | 'list' | 'rm', name: string | undefined, options: SecretOptions) => {
      if ((action === 'list') !== (name === undefined))
        throw bad(`“secret ${action}” takes ${action === 'list' ? 'no name' : 'a name'}`)
      if (options.file !== undefined && action !== 'set') throw bad('--file is for “secret set”')
      if (name === undefined) return list(io, options)
      return action === 'set' ? set(io, name, options) : remove(io, name, options)
    })
}

async function set(io: Io, name: string, options: SecretOptions): Promise<void> {
  const bytes =
    options.file === undefined
      ? await readInput(io, `value of ${name}`, MOST_BYTES)
      : readValueFile(resolve(io.cwd, options.file))
  const { value, cut } = valueIn(bytes)
  const secrets = openSecrets(io, options)
  const accepted = await secrets.set(name, value)
  if (options.json) return printJson(io, accepted)
  if (cut) io.out('The newline at the end was left out.')
  io.out(`${accepted.changed ? 'Accepted' : 'Unchanged'}: ${accepted.what}.`)
}

async function remove(io: Io, name: string, options: SecretOptions): Promise<void> {
  const accepted = await openSecrets(io, options).remove(name)
  if (options.json) return printJson(io, accepted)
  io.out(`Accepted: ${accepted.what}.`)
}

async function list(io: Io, options: SecretOptions): Promise<void> {
  const entries = await openSecrets(io, options).list()
  if (options.json) return printJson(io, entries)
  if (entries.length === 0) return io.out('No secret is set. “understudy secret set NAME” sets one.')
  for (const line of listLines(io, entries)) io.out(line)
}

function listLines(io: Io, entries: readonly SecretEntry[]): string[] {
  const titles = [
    { title: 'SECRET' },
    { title: 'VERSION', align: 'right' as const },
    { title: 'SET' },
    { title: 'BY' },
    { title: 'USED BY' },
  ]
  const rows = entries.map(({ name, version, at, by, services }) => [
    name,
    String(version),
    `${at.slice(0, 19).replace('T', ' ')}Z`,
    by || '-',
    services.join(' ') || '-',
  ])
  return tableLines(io, titles, rows)
}

/** One newline at the end is the editor's or echo's. */
function valueIn(bytes: Uint8Array): { readonly value: string; readonly cut: boolean } {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw bad('the value is not text in UTF-8: encode it, with base64 for instance')
  }
  const value = text.replace(/\r?\n$/, '')
  return { value, cut: value !== text }
}

function readValueFile(path: string): Uint8Array {
  try {
    const { size } = statSync(path)
    if (size > MOST_BYTES) throw bad(`${path} has ${size} bytes, and a secret may have 64 KiB`)
    return readFileSync(path)
  } catch (cause) {
    if (cause instanceof UnderstudyError) throw cause
    throw bad(`${path} cannot be read: ${(cause as Error).message}`)
  }
}

function bad(message: string): UnderstudyError {
  return new UnderstudyError('UND_BAD_REQUEST', message)
}

const EXAMPLE = `understudy secret set db-password              # asks, and shows nothing
openssl rand -base64 24 | understudy secret set db-password
understudy secret set tls-key --file key.pem
understudy secret list
understudy secret rm tls-key`
