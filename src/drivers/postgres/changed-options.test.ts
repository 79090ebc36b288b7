/** What the plan of a config says of changed options of a database, before any server is asked. */
import { expect, test } from 'vitest'
import { postgresChange } from './changed-options.ts'
import { POSTGRES_DEFAULTS, type PostgresOptions } from './options.ts'

const plain: PostgresOptions = POSTGRES_DEFAULTS
const withSettings = (settings: PostgresOptions['settings']): PostgresOptions => ({ ...plain, settings })
const withPassword = (password: string, database = 'shop'): PostgresOptions => ({
  ...plain,
  bootstrap: { ...plain.bootstrap, database, owner: 'shop', password },
})

test('raised settings are brought by a switchover, lowered ones by a restart of the primary where it is', () => {
  const [less, more] = [withSettings({ max_connections: 50 }), withSettings({ max_connections: 150 })]
  expect(postgresChange(less, more)).toEqual({ needs: 'restart', what: ['max_connections'] })
  expect(postgresChange(more, less)).toEqual({ needs: 'restart', what: ['max_connections'], primaryStays: true })
  expect(postgresChange(more, plain), 'back to 100').toMatchObject({ primaryStays: true })
  expect(postgresChange(less, plain), 'back to 100').not.toHaveProperty('primaryStays')
})

test('a lowered setting that concerns each server alone has no such order', () => {
  const [less, more] = [withSettings({ shared_buffers: '16MB' }), withSettings({ shared_buffers: '1GB' })]
  expect(postgresChange(more, less)).toEqual({ needs: 'restart', what: ['shared_buffers'] })
})

test('another password is taken while it runs, and its value is not shown', () => {
  expect(postgresChange(withPassword('first'), withPassword('second'))).toEqual({ needs: 'reload', what: ['password'] })
  expect(postgresChange(withPassword('first'), withPassword('first', 'other'))).toEqual({
    needs: 'nothing',
    what: ['bootstrap (read at the first start only)'],
  })
})
