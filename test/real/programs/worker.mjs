// A worker with habits, chosen by its arguments. Each habit is one word or word=value; what happens is a line on stdout.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

const habits = new Map(process.argv.slice(2).map((word) => word.split('=')))
const say = (line) => console.log(line)

if (habits.has('exit')) process.exit(Number(habits.get('exit')))
if (habits.has('deaf')) process.on('SIGTERM', () => say('heard SIGTERM and stays'))
if (habits.has('polite')) {
  process.on('SIGTERM', () => {
    say('heard SIGTERM')
    setTimeout(() => {
      say('finished')
      process.exit(0)
    }, 100)
  })
}
if (habits.has('child')) {
  // A grandchild in the same group that hears nothing.
  const child = spawn('/bin/sh', [
    '-c',
    'trap "" TERM; echo "$$" >> "$1"; while :; do sleep 0.1; done',
    'child',
    habits.get('child'),
  ])
  child.unref()
}
process.on('SIGUSR1', () => say(`told ${readFileSync(process.env.UNDERSTUDY_TERM_FILE, 'utf8').trim()}`))
// Said last: a test that waits for this line may count on every habit.
say(`ran ${process.pid} ${process.env.UNDERSTUDY_ROLE} ${process.env.UNDERSTUDY_TERM}`)
if (habits.has('chatty')) setInterval(() => say('x'.repeat(1000)), 1)
setInterval(() => {}, 1000)
