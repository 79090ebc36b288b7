/** `understudy whatif` from its words to its exit code, and docs/whatif.md against what it really prints. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { UNMEASURED } from '../whatif/measured.ts'
import { WhatIf } from '../whatif/whatif.ts'
import { fakeIo } from './fake-io.ts'
import { configRoom } from './lazy-rooms.ts'
import { wrapped } from './print/columns.ts'
import { warningLines } from './print/whatif-parts.ts'
import { run } from './program.ts'

const root = join(import.meta.dirname, '../..')
const shop = join(root, 'examples/shop')
const bad = (name: string) => join(root, 'test/whatif', `${name}.config.ts`)

async function type(...args: string[]) {
  const io = fakeIo({ cwd: '/nowhere', columns: 100 })
  const code = await run(['whatif', ...args, '--state', '/nowhere'], io)
  return { code, text: io.text(), complaints: io.complained.join('\n'), json: () => JSON.parse(io.text()) }
}

describe('understudy whatif', () => {
  it('ends with 0 when every promise can be kept, with 1 when one failure breaks one', async () => {
    expect((await type(shop)).code).toBe(0)
    const { code, text } = await type(bad('lease-over-rto'))
    expect(code).toBe(1)
    expect(text).toContain('missed 2.0 s')
    expect(text).toMatch(/objective {2}lease-over-rto {2}mailer promises 2\.0 s/)
  })

  it('is readable on 110 columns, also for seven nodes and ten services', async () => {
    const { text } = await type(bad('large'))
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
  })

  it('answers about chosen failures, with the steps', async () => {
    const { text, code } = await type(shop, '--kill', 'a')
    expect(code).toBe(0)
    expect(text).toMatch(/worker +c takes over, then b +3\.0 s/)
    expect(text).toMatch(/2\.0 s {2}c {2}take-lead/)
    expect((await type(bad('lease-over-rto'), '--kill', 'a')).code).toBe(1)
  })

  it('knows no failure of another name', async () => {
    const { code, complaints } = await type(shop, '--kill', 'a,nroth')
    expect(code).toBe(2)
    expect(complaints).toContain('nothing called “nroth” can fail here')
    expect((await type(shop, '--voters', 'a,x')).code).toBe(2)
    expect((await type(shop, '--mtbf-node', 'often')).code).toBe(2)
  })

  it('says all of it as JSON', async () => {
    const report = (await type(shop, '--json')).json()
    expect(report).toMatchObject({ cluster: 'shop', voters: null, missed: [], notModelled: [] })
    expect(report.pairs.asked).toBe(120)
    expect(report.singles[0].services[1]).toMatchObject({ service: 'web', served: true })
    expect((await type(shop, '--json', '--kill', 'a')).json().failures).toEqual(['a'])
    expect((await type(shop, '--json', '--pairs')).json().pairs.all).toHaveLength(120)
  })

  it('takes other rates and start times', async () => {
    const away = async (...args: string[]) => {
      const { availability } = (await type(shop, '--json', ...args)).json()
      return availability.find(({ service }: { service: string }) => service === 'worker').awayMsPerYear as number
    }
    expect(await away('--mtbf-process', '1000d')).toBeLessThan(await away())
    expect(await away('--start', '10s')).toBeGreaterThan(await away())
  })

  it('follows a store over several machines', async () => {
    const { text } = await type(bad('two-nodes'))
    expect(text).toContain('one-voter')
    expect((await type(bad('two-nodes'), '--voters', 'one')).text).not.toContain('one-voter')
  })
})

describe('before a start', () => {
  it('only what one failure ends is said, in a few lines', async () => {
    const { loadConfig, compileCluster } = await configRoom()
    const lines = async (file: string) => {
      const loaded = await loadConfig(file)
      const { spec } = compileCluster(loaded.raw, { file: loaded.file })
      const { weaknesses } = new WhatIf({ cluster: spec, measured: UNMEASURED }).report()
      return warningLines(fakeIo(), weaknesses, 1)
    }
    expect(await lines(shop)).toEqual([])
    expect(await lines(bad('one-instance'))).toEqual([
      'weak: web has one instance: every end of it is a pause, and the loss of its node stops it for up to 3.4 s → `services.web.instances: 2`',
      '“understudy whatif” says what each failure would do.',
    ])
    expect((await lines(bad('start-over-rto')))[1]).toBe('1 more; “understudy whatif” says what each failure would do.')
  })
})

it('text is broken between words', () => {
  expect(wrapped('  one two three', 9, '    ')).toEqual(['  one two', '    three'])
  expect(wrapped('unbreakable', 3, ' ')).toEqual(['unbreakable'])
})

describe('docs/whatif.md', () => {
  const page = join(root, 'docs/whatif.md')
  const transcripts: readonly (readonly string[])[] = [[shop], [shop, '--kill', 'c,b.web']]

  it.each(transcripts.map((args) => [args.join(' ').replace(root, ''), args] as const))('shows %s', async (_, args) => {
    const command = `$ understudy whatif ${args.join(' ').replace(`${root}/`, '')}`
    const { text } = await type(...args)
    // `npm run docs` writes what is printed today.
    if (process.env.REWRITE) {
      const before = readFileSync(page, 'utf8')
      const start = before.indexOf(`${command}\n`) + command.length + 1
      writeFileSync(page, before.slice(0, start) + text + before.slice(before.indexOf('\n```', start)))
    }
    expect(readFileSync(page, 'utf8')).toContain(`${command}\n${text}\n\`\`\``)
  })

  it('names every weakness, and none that there is not', () => {
    const folder = join(root, 'src/whatif/weaknesses')
    const code = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    const named = code.join('\n').matchAll(/name: (?:[^,'\n]*\? )?'([a-z-]+)'(?: : '([a-z-]+)')?/g)
    const known = new Set([...named].flatMap(([, one, other]) => (other ? [one, other] : [one])))
    const listed = [...readFileSync(page, 'utf8').matchAll(/^\| `([a-z-]+)` \| /gm)].map(([, name]) => name)
    expect(new Set(listed)).toEqual(known)
  })
})
