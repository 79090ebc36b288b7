/** Why a program cannot be run, where the system's own word for it misleads. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { commandName } from './command-line.ts'
import type { Run } from './options.ts'

/** Node says `spawn /bin/sh ENOENT` of a folder that is not there. Undefined when the folder can be used. */
export function folderProblem(cwd: string): string | undefined {
  try {
    if (!statSync(cwd).isDirectory()) return `the option cwd names ${cwd}, which is not a folder`
    accessSync(cwd, constants.X_OK)
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return `the option cwd names ${cwd}, which does not exist`
    return `the folder of the option cwd cannot be entered: ${message}`
  }
}

/** A shell says "not found" of a script whose interpreter is missing. Undefined when it is not that. */
export function interpreterProblem(run: Run, cwd: string): string | undefined {
  const name = commandName(run)
  if (!name.includes('/')) return undefined // looked up in PATH by the shell, which knows better
  const path = isAbsolute(name) ? name : join(cwd, name)
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(firstBytes(path))?.[1]
  if (interpreter === undefined || existsSync(interpreter)) return undefined
  const why = interpreter.endsWith('\r') ? ': the line ends in CR LF' : ''
  return `${name} is there, but the interpreter of its first line, ${interpreter.trim()}, is not${why}`
}

function firstBytes(path: string): string {
  try {
    const file = openSync(path, 'r')
    try {
      const bytes = Buffer.alloc(256)
      return bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0))
    } finally {
      closeSync(file)
    }
  } catch {
    return '' // not there or not readable: the shell's own word is right
  }
}
