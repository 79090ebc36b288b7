/**
 * The file's format. Version 2:
 *
 *   meta    one row: the revision, and how many leases were ever given out (so that no id comes twice)
 *   leases  one row per lease: its number, the boot of the machine it was given in, its full time, and where in the file
 *           beside this one its end is found (lease-times.ts)
 *   entry   one row per key: JSON text, the revision it was last written at, the lease it is tied to
 *
 * A lease that has ended may still have rows: every reader leaves them out (lease-clock.ts), the next writer removes them.
 *
 * Version 1 kept the ends in a table `lease`, so that each renewal was a synced write. It is brought to version 2 at the
 * opening, once no lease of this boot is left in it: agents of the earlier version that still hold one would not see ours.
 * One that has the file open afterwards finds no table `lease` and agrees on nothing more.
 */

/** "Unds": how SQLite's own `file` magic tells our files from others. */
export const APPLICATION_ID = 0x556e6473

/** Grows when a program of today could not use the file any more. A newer one than ours is refused. */
export const FORMAT = 2

const LEASES = `
  CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    boot TEXT NOT NULL,
    ttl_ms REAL NOT NULL,
    slot INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`

export const CREATE = `
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${FORMAT};
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    leases_given INTEGER NOT NULL
  ) STRICT;
  ${LEASES}
  CREATE TABLE entry (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    revision INTEGER NOT NULL,
    lease TEXT
  ) STRICT, WITHOUT ROWID;
  INSERT INTO meta (id, revision, leases_given) VALUES (1, 0, 0);
`

/** Of version 1: leases that were given in this boot and that have not ended by its clock. */
export const LIVING_OF_1 = 'SELECT count(*) FROM lease WHERE boot = ? AND ends_at > ?'

/** From version 1 to 2: no lease is left, and the end of each that had keys is a change. */
export const FROM_1_TO_2 = `
  UPDATE meta SET revision = revision + (SELECT count(DISTINCT lease) FROM entry WHERE lease IS NOT NULL);
  DELETE FROM entry WHERE lease IS NOT NULL;
  DROP TABLE lease;
  ${LEASES}
  PRAGMA user_version = 2;
`
