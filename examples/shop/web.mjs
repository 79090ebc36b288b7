// The shop's web application. It knows nothing of Understudy but the two variables that say where to listen.
//
//   GET  /          the page          GET /orders     how many orders there are
//   GET  /healthz   am I healthy?     POST /orders    one more order; answered when the database has acknowledged it
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { ask, close, prepare } from './database.mjs'

const { PORT = '3000', HOST = '127.0.0.1', UNDERSTUDY_NODE = 'here' } = process.env

// The page carries the id of the order that it may become: pressing the button twice orders one cup.
const page = () => `<!doctype html><meta charset="utf-8"><title>Shop</title>
<h1>The shop is open</h1><p>You are being served by node ${UNDERSTUDY_NODE}.</p>
<form method="post" action="/orders?id=${randomUUID()}"><button>Order a cup of tea</button></form>`

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://shop')
  const say = (status, type, body) => response.writeHead(status, { 'content-type': type }).end(body)
  const json = (status, value) => say(status, 'application/json', `${JSON.stringify(value)}\n`)

  if (request.method === 'GET' && pathname === '/') return say(200, 'text/html; charset=utf-8', page())
  // Its own health alone: an application that is unhealthy while its database changes the primary is ended for nothing.
  if (request.method === 'GET' && pathname === '/healthz') return say(200, 'text/plain', 'ok\n')
  if (request.method === 'GET' && pathname === '/orders')
    return json(200, { orders: await countOrders(), servedBy: UNDERSTUDY_NODE })
  if (request.method === 'POST' && pathname === '/orders') {
    request.resume()
    // A client that names its order can send it again when it got no answer; so may the balancer, because of this header.
    const id = request.headers['idempotency-key'] ?? searchParams.get('id') ?? randomUUID()
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return json(400, { error: 'the id must be a UUID' })
    return json(201, await order(id, 'a cup of tea'))
  }
  return json(404, { error: 'there is nothing here' })
}

/**
 * Resolves when the commit was acknowledged, not before. An order that is there already is written again unchanged and not
 * left alone: a statement that writes nothing would be answered without asking the standbys whether they have the first one.
 */
async function order(id, item) {
  const { rows } = await ask(
    'insert into orders (id, item) values ($1, $2) on conflict (id) do update set id = excluded.id returning id, item, at',
    [id, item],
  )
  return rows[0]
}

async function countOrders() {
  const { rows } = await ask('select count(*)::int as orders from orders')
  return rows[0].orders
}

await prepare()
const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    // It is not known whether the order was written. It has an id, so sending it again is safe.
    response.writeHead(503, { 'retry-after': '1' }).end(`${error.message}\n`)
  })
})
server.listen(Number(PORT), HOST)

// Asked to end: accept nothing new, finish what is open, then exit.
process.on('SIGTERM', () => server.close(() => close().then(() => process.exit(0))))
