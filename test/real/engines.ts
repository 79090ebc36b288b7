/** Engines that tests need and that not every machine has. Without one they are left out, which is said; with CI=true it fails. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const DEBIAN = '/usr/lib/postgresql'

/** The folder with the system's newest PostgreSQL; null where there is none. */
export const systemPostgres: string | null = newest()

export const INSTALL_POSTGRES =
  "mkdir -p /etc/postgresql-common/createcluster.d && echo 'create_main_cluster = false' > " +
  '/etc/postgresql-common/createcluster.d/understudy.conf && apt-get install -y --no-install-recommends postgresql'

function newest(): string | null {
  if (!existsSync(DEBIAN)) return null
  const versions = readdirSync(DEBIAN).map(Number).filter(Number.isInteger)
  const bins = versions.sort((a, b) => b - a).map((version) => join(DEBIAN, String(version), 'bin'))
  return bins.find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'initdb'))) ?? null
}
