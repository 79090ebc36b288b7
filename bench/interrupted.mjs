/**
 * A bench that is interrupted takes along what it started: its servers run on otherwise. `end` may be asked at any moment.
 * Returns how to call that off, for when the bench ends by itself.
 */
export function whenInterrupted(end) {
  const interrupted = () => Promise.resolve(end()).finally(() => process.exit(130))
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  return () => {
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
  }
}
