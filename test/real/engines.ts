/** Engines that tests need and that not every machine has. Without one they are left out, which is said; with CI=true it fails. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const DEBIAN = '/usr/lib/postgresql'

/** The folder with the system's newest PostgreSQL; null where there is none. */
export const systemPostgres: string | null = newest()

/** Another PostgreSQL for the tests: the folder with its programs. `npm run test:versions` sets it to one after the other. */
const asked = process.env.UNDERSTUDY_TEST_POSTGRES || null

/** Options of a database for which any PostgreSQL will do: the first that is found, or the one that was asked for. */
export const anyPostgres: { readonly bin?: string } = asked ? { bin: asked } : {}

/** Every PostgreSQL that is here, or the one that was asked for. */
export const everyPostgres: readonly { readonly bin: string | null; readonly name: string }[] = asked
  ? [{ bin: asked, name: `in ${asked}` }]
  : [...(systemPostgres ? [{ bin: null, name: 'of the system' }] : []), { bin: 'npm', name: 'of the package' }]

export const INSTALL_POSTGRES =
  "mkdir -p /etc/postgresql-common/createcluster.d && echo 'create_main_cluster = false' > " +
  '/etc/postgresql-common/createcluster.d/understudy.conf && apt-get install -y --no-install-recommends postgresql'

function newest(): string | null {
  if (!existsSync(DEBIAN)) return null
  const versions = readdirSync(DEBIAN).map(Number).filter(Number.isInteger)
  const bins = versions.sort((a, b) => b - a).map((version) => join(DEBIAN, String(version), 'bin'))
  return bins.find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'initdb'))) ?? null
}
