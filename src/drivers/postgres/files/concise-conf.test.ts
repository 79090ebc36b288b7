import { expect, test } from 'vitest'
import { concise } from './concise-conf.ts'

const AS_INITDB_WRITES = `
# -----------------------------
# PostgreSQL configuration file
#port = 5432				# (change requires restart)
max_connections = 100			# (change requires restart)
#shared_buffers = 1MB
shared_buffers = 128MB			# min 128kB
datestyle = 'iso, mdy'
log_timezone = 'Etc/UTC'
	lc_messages = 'C.UTF-8'		# locale for system error message
search_path = '"a#b", "it''s"'	# '
include_dir 'conf.d'	# relative to this file
`

test('what is set stays as it was, and nothing else', () => {
  const settings = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(settings(concise(AS_INITDB_WRITES))).toEqual([
    'max_connections = 100',
    'shared_buffers = 128MB',
    "datestyle = 'iso, mdy'",
    "log_timezone = 'Etc/UTC'",
    "lc_messages = 'C.UTF-8'",
    `search_path = '"a#b", "it''s"'`,
    "include_dir = 'conf.d'",
  ])
  expect(settings(concise(concise(AS_INITDB_WRITES)))).toEqual(settings(concise(AS_INITDB_WRITES)))
})
