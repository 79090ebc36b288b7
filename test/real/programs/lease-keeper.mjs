// Stands in for an agent: keeps one process alive by arming its fence again and again, `leaseMs` ahead each time.
// node lease-keeper.mjs SOCKET PID START_TIME LEASE_MS; every acknowledged deadline is a line on stdout.
import { connectFence } from '../../../dist/agent/fence-client.js'

const [socket, pid, startTime, leaseMs] = process.argv.slice(2)
const fence = connectFence(socket)
const identity = { pid: Number(pid), startTime: Number(startTime) }
for (;;) {
  const killAtMono = Number(process.hrtime.bigint()) / 1e6 + Number(leaseMs)
  try {
    await fence.arm('svc', identity, killAtMono)
    console.log(killAtMono)
  } catch {
    // Not acknowledged in time: the deadline before holds, and it is tried again.
  }
  await new Promise((resolve) => setTimeout(resolve, 25))
}
