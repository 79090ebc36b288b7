/** The parts of docs/config.md that are printed from the code; everything around them is written by hand. */
import { RELATIONS } from '../../src/config/check/check-timing.ts'
import { PRESETS } from '../../src/config/presets.ts'
import { CLUSTER_TIMINGS, SERVICE_TIMINGS, type TimingName } from '../../src/config/resolve-timing.ts'
import { type DocumentedOption, sections } from './options.ts'

export function printedParts(): Readonly<Record<string, string>> {
  return { options: options(), presets: presets(), relations: relations() }
}

/** Puts each part between its marks: `<!-- options -->` … `<!-- /options -->`. */
export function fillIn(text: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((filled, [name, part]) => {
    const marks = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`)
    if (!marks.test(filled)) throw new Error(`there are no marks for ${name}`)
    return filled.replace(marks, (_, start: string, end: string) => `${start}\n${part}\n${end}`)
  }, text)
}

function options(): string {
  return sections()
    .map(({ title, options }) => `### ${title}\n\n${options.map(option).join('\n')}`)
    .join('\n')
}

function option({ path, what, required, doc }: DocumentedOption): string {
  if (doc === undefined) throw new Error(`${path} has no documentation`)
  const standing = required ? 'Required.' : `Default: ${doc.default}.`
  return [
    `#### \`${path}\``,
    '',
    `${doc.means}<br>`,
    `*Value:* ${what}. *${standing}*<br>`,
    `*Tuning:* ${doc.turn}<br>`,
    `*Risk:* ${doc.breaks}`,
    '',
  ].join('\n')
}

function presets(): string {
  const row = (name: TimingName) => {
    const [lan, wan] = [PRESETS.lan, PRESETS.wan].map((preset) => {
      const numbers: Readonly<Record<string, number>> = { ...preset.cluster, ...preset.service }
      return inUnits(numbers[`${name}Ms`] ?? 0)
    })
    return `| \`${name}\` | ${lan} | ${wan} |`
  }
  return ['| | `lan` | `wan` |', '|---|---|---|', ...[...CLUSTER_TIMINGS, ...SERVICE_TIMINGS].map(row), ''].join('\n')
}

function relations(): string {
  const lines = RELATIONS.map(({ name, times, than, because }) => {
    return `| \`${name}\` | ${times === 1 ? '' : `${times} × `}\`${than}\` | ${because} |`
  })
  return ['| | at least | because |', '|---|---|---|', ...lines, ''].join('\n')
}

function inUnits(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`
}
