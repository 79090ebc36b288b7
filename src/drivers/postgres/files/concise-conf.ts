/**
 * The postgresql.conf of a new database, without the 800 lines of comments that initdb puts into it. Each process of a
 * server reads the file anew after each reload, and every change of primary has several: a millisecond of each of fifty
 * sessions, just when all of them want to go on. Only for databases that we created; the file of an adopted one stays
 * as it is.
 */
const HEAD = `# What initdb found out about this machine. Settings of your own belong into the cluster's config, postgres({ settings: { … } }), which all
# replicas share. Every setting with its comment: postgresql.conf.sample in the share folder of this version.
`

/** A name and its value; the value may be quoted, with a quote in it doubled or escaped. */
const SETTING = /^\s*([a-z_][\w.]*)\s*=?\s*('(?:[^'\\]|''|\\.)*'|[^\s#']+)/i

export function concise(text: string): string {
  const settings = text.split('\n').flatMap((line) => {
    const [, name, value] = SETTING.exec(line) ?? []
    return name ? [`${name} = ${value}`] : []
  })
  return `${HEAD}\n${settings.join('\n')}\n`
}
