import { expect, test } from 'vitest'
import { UnderstudyError } from '../errors.ts'
import { InvalidConfig } from './complaint.ts'
import { printComplaints, printWarnings } from './print-complaints.ts'

const complaints = [
  {
    path: 'services.web.listen',
    problem: 'is "80 80", not a port',
    write: 'a whole number from 1 to 65535, such as 8080',
  },
  { path: 'name', problem: 'is missing', write: 'a name' },
  { path: `services.${'x'.repeat(60)}.run`, problem: 'is missing', write: 'a program' },
]

test('one block for each, in two columns, and a count', () => {
  const error = new InvalidConfig(complaints, { file: '/srv/shop/understudy.config.ts' })
  expect(printComplaints(error)).toMatchInlineSnapshot(`
    "understudy.config.ts cannot be used as it is written:

      services.web.listen                           is "80 80", not a port
                                                    write a whole number from 1 to 65535, such as 8080

      name                                          is missing
                                                    write a name

      services.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.run
                                                    is missing
                                                    write a program

    3 complaints. Nothing was started or changed."
  `)
  expect(error.message).toContain('services.web.listen is "80 80", not a port')
  expect(error.message).toContain('and 2 more')
})

test('any other error is its message', () => {
  expect(printComplaints(new UnderstudyError('UND_CONFIG_NOT_FOUND', 'there is no file x'))).toBe('there is no file x')
})

test('warnings say that they stop nothing', () => {
  expect(printWarnings([])).toBe('')
  expect(printWarnings(complaints.slice(1, 2))).toBe(
    '  name  is missing\n        write a name\n\n1 warning. The config can be used.',
  )
})
