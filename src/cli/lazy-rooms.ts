/**
 * The rooms that only some commands need, loaded when they are needed: `status` must not wait for a TypeScript loader, nor
 * an agent for a table printer.
 */
export async function configRoom() {
  const [load, compile, print] = await Promise.all([
    import('../config/load-config.ts'),
    import('../config/compile.ts'),
    import('../config/print-complaints.ts'),
  ])
  return { ...load, ...compile, ...print }
}

export async function backupRoom() {
  const [take, files, restore, ground, folder] = await Promise.all([
    import('../drivers/postgres/copy/take-backup.ts'),
    import('../drivers/postgres/copy/backup-files.ts'),
    import('../drivers/postgres/copy/restore-backup.ts'),
    import('../drivers/postgres/replica-setup.ts'),
    import('../drivers/postgres/files/replica-folder.ts'),
  ])
  return { ...take, ...files, ...restore, ...ground, ...folder }
}

export async function agentRoom() {
  return import('../agent/main.ts')
}

export async function demoRoom() {
  const [run, show] = await Promise.all([import('./demo/run-demo.ts'), import('./demo/demo-lines.ts')])
  return { ...run, ...show }
}

export async function whatifRoom() {
  const [whatif, naming, measured] = await Promise.all([
    import('../whatif/whatif.ts'),
    import('../whatif/naming.ts'),
    import('../whatif/measured.ts'),
  ])
  return { ...whatif, ...naming, ...measured }
}

export async function storeRoom() {
  const [stores, agreed] = await Promise.all([import('../stores/index.ts'), import('../agent/agreed-records.ts')])
  return { ...stores, ...agreed }
}

export async function secretRoom() {
  return import('../agent/secret-store.ts')
}

export async function simRoom() {
  const [many, run, shrink] = await Promise.all([
    import('../sim/many-seeds.ts'),
    import('../sim/run-seed.ts'),
    import('../sim/shrink.ts'),
  ])
  return { ...many, ...run, ...shrink }
}
