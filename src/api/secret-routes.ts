/** The routes of secrets, and their bodies. No refusal repeats a body. */
import { bad, readObject } from './request-bodies.ts'
import { ACCEPTED, type Route } from './route-shape.ts'
import type { SetSecretRequest } from './secret-types.ts'

/** 64 KiB of text, each character of which JSON may write as six. */
const MOST_BODY_BYTES = 6 * 64 * 1024 + 1024
const LONGEST_BY = 200

export const SECRET_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/secrets',
    summary: 'The names of the secrets that are set, with version, time, author and the services that need them.',
    answers: { status: 200, schema: 'SecretEntry', many: true },
    handle: ({ surface }) => surface.secrets.list(),
  },
  {
    method: 'POST',
    path: '/v1/secrets/{secret}',
    summary: 'Gives a secret a value. Services that use it are restarted in turns when it is another one.',
    takes: 'SetSecretRequest',
    mostBodyBytes: MOST_BODY_BYTES,
    answers: { status: 202, schema: 'SecretAccepted' },
    handle: async ({ surface, path, body }) => surface.secrets.set(path('secret'), readSet(await body())),
  },
  {
    method: 'POST',
    path: '/v1/secrets/{secret}/remove',
    summary: 'Deletes the value of a secret; refused while the config uses it.',
    takes: 'RemoveSecretRequest',
    answers: ACCEPTED,
    handle: async ({ surface, path, body }) => {
      const text = await body()
      const by = text.trim() === '' ? '' : readBy(readObject(text, 'RemoveSecretRequest'))
      return surface.secrets.remove(path('secret'), { by })
    },
  },
]

function readSet(text: string): SetSecretRequest {
  const body = readObject(text, 'SetSecretRequest')
  if (typeof body.value !== 'string') throw bad('write {"value": "…"} with text; “by” may be added')
  return { value: body.value, by: readBy(body) }
}

function readBy({ by = '' }: Record<string, unknown>): string {
  if (typeof by === 'string' && by.length <= LONGEST_BY) return by
  throw bad(`“by” must be a text of at most ${LONGEST_BY} characters`)
}
