import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { attribute, clientFinal, isServerProven, keysFromPassword, learnKeys, readVerifier } from '../../lib/scram.ts'
import { Login } from './login.ts'
import { int32, message } from './messages.ts'
import { RelayedLogin } from './session/relayed-login.ts'

// The example of RFC 7677, section 3.
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const NONCE = 'rOprNGfwEbeRWgbNEkqO'
const BOTH = `${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`
const EXCHANGE = {
  clientFirstBare: `n=user,r=${NONCE}`,
  serverFirst: `r=${BOTH},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
  clientFinalWithoutProof: `c=biws,r=${BOTH}`,
}
const PROOF = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
const SERVER_FINAL = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='
const keys = keysFromPassword('pencil', SALT, 4096)
const stored = createHash('sha256').update(keys.clientKey).digest('base64')
const VERIFIER = `SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$${stored}:${keys.serverKey.toString('base64')}`

describe('the example of RFC 7677', () => {
  test('the proof and the signature', () => {
    expect(clientFinal(keys, EXCHANGE)).toBe(`c=biws,r=${BOTH},p=${PROOF}`)
    expect(isServerProven(keys, EXCHANGE, SERVER_FINAL)).toBe(true)
    expect(isServerProven(keys, EXCHANGE, `v=${Buffer.alloc(32).toString('base64')}`)).toBe(false)
    expect(isServerProven(keys, EXCHANGE, '')).toBe(false)
  })

  test('the key is learned from the proof and the verifier, and from nothing less', () => {
    const verifier = readVerifier(VERIFIER)
    if (!verifier) throw new Error('no verifier')
    expect(learnKeys(verifier, EXCHANGE, Buffer.from(PROOF, 'base64'))).toEqual(keys)
    expect(learnKeys(verifier, EXCHANGE, randomBytes(32))).toBeUndefined()
    expect(learnKeys(verifier, { ...EXCHANGE, serverFirst: 'r=other' }, Buffer.from(PROOF, 'base64'))).toBeUndefined()
    expect(
      learnKeys({ ...verifier, storedKey: randomBytes(32) }, EXCHANGE, Buffer.from(PROOF, 'base64')),
    ).toBeUndefined()
  })
})

test.each(['', 'md5abc', 'SCRAM-SHA-256$4096:x$y', 'SCRAM-SHA-256$4096:x$eA==:eA==', 'SCRAM-SHA-256$x:x$y:z'])(
  'not a verifier: %s',
  (text) => expect(readVerifier(text)).toBeUndefined(),
)

const body = (bytes: Buffer) => [bytes[0] ?? 0, bytes, 5, bytes.length] as const
const request = (code: number, text: string | Buffer) => message('R', int32(code), text)

test('a login that is overheard can be repeated with what was learned', () => {
  const overheard = new RelayedLogin()
  const fromServer = (bytes: Buffer) => overheard.fromServer(bytes, 5, bytes.length)
  const fromClient = (bytes: Buffer) => overheard.fromClient(bytes, 5, bytes.length)
  fromServer(request(10, 'SCRAM-SHA-256\0\0'))
  const first = `n,,${EXCHANGE.clientFirstBare}`
  fromClient(message('p', 'SCRAM-SHA-256\0', int32(first.length), first))
  fromServer(request(11, EXCHANGE.serverFirst))
  fromClient(message('p', `${EXCHANGE.clientFinalWithoutProof},p=${PROOF}`))
  fromServer(request(12, SERVER_FINAL))
  fromServer(request(0, ''))
  expect(overheard.credential()).toBeUndefined()
  const verifier = readVerifier(VERIFIER)
  const learned = verifier && overheard.learn(verifier)
  expect(learned).toEqual(keys)
  if (!learned) return

  const login = new Login({ kind: 'scram', keys: learned }, NONCE)
  const answer = login.hear(...body(request(10, 'SCRAM-SHA-256\0\0')))
  expect(answer).toMatchObject({ kind: 'send' })
  // PostgreSQL takes the user from the startup packet and ignores the one in here.
  const serverFirst = `r=${NONCE}abc,s=${SALT.toString('base64')},i=4096`
  const proof = login.hear(...body(request(11, serverFirst)))
  const said = proof.kind === 'send' ? proof.bytes.toString('latin1', 5) : ''
  const exchange = { clientFirstBare: `n=,r=${NONCE}`, serverFirst, clientFinalWithoutProof: `c=biws,r=${NONCE}abc` }
  expect(said).toBe(clientFinal(keys, exchange))
  expect(login.hear(...body(request(12, `v=${Buffer.alloc(32).toString('base64')}`)))).toMatchObject({
    kind: 'refused',
  })
})

describe('a login goes on only with a server that proves its identity', () => {
  const begun = () => {
    const login = new Login({ kind: 'scram', keys }, NONCE)
    login.hear(...body(request(10, 'SCRAM-SHA-256\0\0')))
    return login
  }

  test('another nonce', () => {
    expect(begun().hear(...body(request(11, 'r=other,s=AA==,i=1')))).toMatchObject({ kind: 'refused' })
    expect(begun().hear(...body(request(11, `r=${NONCE},s=AA==,i=1`)))).toMatchObject({ kind: 'refused' })
  })

  test('let in without a proof', () => {
    const login = begun()
    login.hear(...body(request(11, `r=${NONCE}x,s=AA==,i=1`)))
    expect(login.hear(...body(request(0, '')))).toMatchObject({ kind: 'refused' })
  })

  test('asks for the password itself, or for md5', () => {
    expect(begun().hear(...body(request(3, '')))).toMatchObject({ kind: 'refused' })
    expect(begun().hear(...body(request(5, 'salt')))).toMatchObject({ kind: 'refused' })
  })

  test('asks for absurd work', () => {
    const login = new Login({ kind: 'password', password: 'x' }, NONCE)
    login.hear(...body(request(10, 'SCRAM-SHA-256\0\0')))
    expect(login.hear(...body(request(11, `r=${NONCE}x,s=AA==,i=99999999`)))).toMatchObject({ kind: 'refused' })
  })
})

test('attributes', () => {
  expect(attribute('r=a=b,s=c', 'r')).toBe('a=b')
  expect(attribute('r=a', 'x')).toBeUndefined()
})
