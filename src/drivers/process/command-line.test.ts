import { describe, expect, it } from 'vitest'
import { commandName, commandWords } from './command-line.ts'

describe('from a command line to words', () => {
  it('words are taken as they are', () => {
    expect(commandWords(['node', 'a b.js'])).toEqual(['node', 'a b.js'])
  })

  const plain = ['node server.js', '  ./run "a b" $HOME', 'node x.js > out.txt 2>/dev/null', '/usr/bin/env node x.js']
  for (const line of plain) {
    it(`the shell becomes the program: ${line}`, () => {
      expect(commandWords(line)).toEqual(['/bin/sh', '-c', `exec ${line.trim()}`])
    })
  }

  const shell = [
    'cd app && node server.js',
    'node a.js | tee log',
    'node a.js; true',
    'FOO=1 node a.js',
    'exec node a.js',
    'exit 3',
    'while true',
    'echo $(date)',
    'echo `date`',
    '{ node a.js',
    'node a.js\nnode b.js',
    '> out node a.js',
    '',
  ]
  for (const line of shell) {
    it(`the shell stays: ${JSON.stringify(line)}`, () => {
      expect(commandWords(line)).toEqual(['/bin/sh', '-c', line])
    })
  }

  it('is called by its first word', () => {
    expect(commandName(' nodee server.js')).toBe('nodee')
    expect(commandName(['/bin/x', 'y'])).toBe('/bin/x')
    expect(commandName([])).toBe('')
  })
})
