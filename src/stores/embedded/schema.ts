/**
 * The file's format. Version 1:
 *
 *   meta   one row: the revision, and how many leases were ever given out (so that no id comes twice)
 *   lease  one row per lease: the boot of the machine it was given in, its full time, when it ends on that boot's clock
 *   entry  one row per key: JSON text, the revision it was last written at, the lease it is tied to
 *
 * A lease that has ended may still have rows: every reader leaves them out (leases.ts), the next writer removes them.
 */

/** "Unds": how SQLite's own `file` magic tells our files from others. */
export const APPLICATION_ID = 0x556e6473
/** Grows when a program of today could not use the file any more. A newer one than ours is refused. */
export const FORMAT = 1

export const CREATE = `
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${FORMAT};
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    leases_given INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE lease (
    id TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    ttl_ms REAL NOT NULL,
    ends_at REAL NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE entry (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    revision INTEGER NOT NULL,
    lease TEXT
  ) STRICT, WITHOUT ROWID;
  INSERT INTO meta (id, revision, leases_given) VALUES (1, 0, 0);
`
