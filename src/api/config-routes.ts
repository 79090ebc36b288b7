/** The routes of the config and of single services. */
import { UnderstudyError } from '../errors.ts'
import { MOST_CONFIG_BYTES, readAbort, readApply, readAsker, readRollback } from './config-bodies.ts'
import { ACCEPTED, type Call, type Route } from './route-shape.ts'

export const CONFIG_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/config',
    summary: 'The config that holds, with the text that it was compiled from.',
    answers: { status: 200, schema: 'ConfigContent' },
    handle: ({ surface }) => surface.configs.read(),
  },
  {
    method: 'GET',
    path: '/v1/config/history',
    summary: 'The last twenty configs, newest first, without their content.',
    answers: { status: 200, schema: 'ConfigEntry', many: true },
    handle: ({ surface }) => surface.configs.history(),
  },
  {
    method: 'GET',
    path: '/v1/config/{number}',
    summary: 'One of the last twenty configs.',
    answers: { status: 200, schema: 'ConfigContent' },
    handle: ({ surface, path }) => surface.configs.read(numberIn(path('number'))),
  },
  {
    method: 'POST',
    path: '/v1/config/apply',
    summary:
      'Replaces the config `expect` by another one; refused with UND_CONFLICT when another one holds by now. ' +
      'Accepted means written down: the status tells the rest.',
    takes: 'ApplyRequest',
    mostBodyBytes: MOST_CONFIG_BYTES,
    answers: { status: 202, schema: 'ConfigAccepted' },
    handle: async ({ surface, body }) => surface.configs.apply(readApply(await body())),
  },
  {
    method: 'POST',
    path: '/v1/config/rollback',
    summary: 'Applies one of the last twenty configs again, as a new one.',
    takes: 'RollbackRequest',
    answers: { status: 202, schema: 'ConfigAccepted' },
    handle: async ({ surface, body }) => surface.configs.rollback(readRollback(await body())),
  },
  {
    method: 'POST',
    path: '/v1/config/abort',
    summary: 'Goes back to the config before, while the last change is under way or stopped.',
    takes: 'AbortRequest',
    answers: { status: 202, schema: 'ConfigAccepted' },
    handle: async ({ surface, body }) => surface.configs.abort(readAbort(await body())),
  },
  {
    method: 'POST',
    path: '/v1/services/{service}/restart',
    summary: 'Replaces every instance of a service in turns.',
    takes: 'ServiceRequest',
    answers: ACCEPTED,
    handle: async ({ surface, path, body }) => {
      readAsker(await body())
      return surface.configs.restart(path('service'))
    },
  },
  {
    method: 'POST',
    path: '/v1/services/{service}/stop',
    summary: 'Ends every instance of a service; it stays stopped until it is started.',
    takes: 'ServiceRequest',
    answers: ACCEPTED,
    handle: (call) => answerStopped(call, true),
  },
  {
    method: 'POST',
    path: '/v1/services/{service}/start',
    summary: 'Lets a service that was stopped run again.',
    takes: 'ServiceRequest',
    answers: ACCEPTED,
    handle: (call) => answerStopped(call, false),
  },
]

async function answerStopped({ surface, path, body }: Call, stopped: boolean): Promise<unknown> {
  return surface.configs.setStopped(path('service'), stopped, readAsker(await body()))
}

function numberIn(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new UnderstudyError('UND_BAD_REQUEST', `a config has a number, and “${text}” is none`)
}
