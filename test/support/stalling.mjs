/** Loaded before anything else into every process of `npm run test:stalls`: stops this one at random, mostly for a little. */
const MOST_MS = Number(process.env.UNDERSTUDY_STALL_MOST_MS)
const EVERY_MS = Number(process.env.UNDERSTUDY_STALL_EVERY_MS)
/** Of the stops, this share is at most this part of the longest. */
const MOSTLY = { share: 0.85, part: 0.4 }

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))

function stallAgain() {
  const stall = () => {
    const most = Math.random() < MOSTLY.share ? MOSTLY.part * MOST_MS : MOST_MS
    Atomics.wait(nobodyWakes, 0, 0, Math.random() * most) // asleep, not busy: the others are not slowed down by it
    stallAgain()
  }
  setTimeout(stall, Math.random() * EVERY_MS).unref()
}

stallAgain()
