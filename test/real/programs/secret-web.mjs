/** Says which secrets it has, as digests: from its environment and from its file. `/healthz` for the check. */
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'

const { HOST, PORT, PASSWORD = '', PASSWORD_FILE = '' } = process.env
const digest = (text) => createHash('sha256').update(text).digest('hex')
createServer((_request, response) => {
  const { mode, uid } = statSync(PASSWORD_FILE)
  const facts = {
    env: digest(PASSWORD),
    file: digest(readFileSync(PASSWORD_FILE, 'utf8')),
    path: PASSWORD_FILE,
    uid,
    pid: process.pid,
  }
  response.end(JSON.stringify({ ...facts, mode: mode & 0o777 }))
}).listen(PORT, HOST)
process.on('SIGTERM', () => process.exit(0))
