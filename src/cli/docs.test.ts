/** docs/cli.md and docs/api.md name everything that there is, and nothing that there is not. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ROUTES } from '../api/routes.ts'
import { ERRORS } from '../errors.ts'
import { fakeIo } from './fake-io.ts'
import { buildProgram } from './program.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const program = buildProgram(fakeIo(), () => {})

describe('docs/cli.md', () => {
  const page = read('cli.md')
  const sections = new Map(
    page
      .split(/^### /m)
      .slice(1)
      .map((text) => [/^`understudy (\w+)/.exec(text)?.[1], text]),
  )

  it.each(program.commands.map((command) => [command.name(), command] as const))(
    'describes %s with all its options',
    (name, command) => {
      const section = sections.get(name) ?? ''
      expect(section, `a section “### \`understudy ${name} …\`\``).not.toBe('')
      for (const { long } of command.options) {
        if (long !== '--json' && long !== '--state') expect(section).toContain(`\`${long}`)
      }
      for (const [, option] of section.matchAll(/`(--[a-z-]+)/g)) {
        expect(command.options.map(({ long }) => long)).toContain(option)
      }
    },
  )

  it('lists the exit codes as they are', () => {
    for (const [code, { exit }] of Object.entries(ERRORS)) {
      const row = page.split('\n').find((line) => line.startsWith(`| ${exit} |`))
      expect(row, `the row of exit code ${exit}`).toContain(`\`${code}\``)
    }
  })
})

describe('docs/api.md', () => {
  const page = read('api.md')

  it.each(ROUTES.map(({ method, path }) => `${method} ${path}`))('has %s', (route) => {
    expect(page).toContain(`\`${route}\``)
  })

  it('has no route that is not there', () => {
    const routes = ROUTES.map(({ method, path }) => `${method} ${path}`)
    for (const [, route] of page.matchAll(/^\| `((?:GET|POST) \S+)` \|/gm)) expect(routes).toContain(route)
  })
})
