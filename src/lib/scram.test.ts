import { expect, test } from 'vitest'
import { isVerifierOf, verifierOf } from './scram.ts'

// RFC 7677, section 3: user "user", password "pencil", 4096 iterations. Keys computed from its salt by Python's hashlib.
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const OF_PENCIL =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='

test('the verifier of the example in the RFC', () => {
  expect(verifierOf('pencil', SALT)).toBe(OF_PENCIL)
})

test('a verifier is known again by its password only', () => {
  expect(isVerifierOf(verifierOf('one'), 'one')).toBe(true)
  expect(isVerifierOf(verifierOf('one'), 'two')).toBe(false)
  for (const other of [null, '', 'md5d41d8cd98f00b204e9800998ecf8427e', 'SCRAM-SHA-256$4096:$:'])
    expect(isVerifierOf(other, 'one')).toBe(false)
})
