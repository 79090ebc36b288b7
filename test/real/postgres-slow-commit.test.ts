/**
 * A primary whose commits take longer than a probe may is slow, and not ill: to replace it would make nothing faster.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { expect, test } from 'vitest'
import { Trio } from './postgres-trio.ts'

test('commits that take longer than a probe, and end before the next: it stays healthy', async () => {
  const trio = new Trio({ nodes: ['a'] })
  try {
    await trio.begin()
    await trio.until('it is healthy', () => trio.observe('a').health === 'healthy')
    await trio.rows(
      'a',
      `create function public.dawdle() returns trigger language plpgsql
         as $$ begin perform pg_catalog.pg_sleep(1.1); return new; end $$;
       create trigger slow before update on understudy.pulse for each row execute function public.dawdle()`,
    )
    const beats = async () => Number((await trio.rows('a', 'select beat from understudy.pulse'))[0]?.beat)
    const before = await beats()
    const seen = new Set<string>()
    trio.driver('a').onChange(() => seen.add(trio.observe('a').health))
    await trio.until('four more probes', async () => (await beats()) >= before + 4)
    expect([...seen, trio.observe('a').health]).not.toContain('unhealthy')
  } finally {
    await trio.end()
  }
})
