// The shop's web app. It knows nothing of Understudy but the two variables that say where to listen.
//
//   GET  /          the page          GET /orders     how many orders there are
//   GET  /healthz   am I well?        POST /orders    one more order; answered when it is on disk
import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'

const { PORT = '3000', HOST = '127.0.0.1', UNDERSTUDY_NODE = 'here', SHOP_DATA = 'data' } = process.env
mkdirSync(SHOP_DATA, { recursive: true })
const ordersFile = join(SHOP_DATA, 'orders.ndjson')
const orders = await open(ordersFile, 'a')

const PAGE = `<!doctype html><meta charset="utf-8"><title>Shop</title>
<h1>The shop is open</h1><p>You are being served by node ${UNDERSTUDY_NODE}.</p>
<form method="post" action="/orders"><button>Order a cup of tea</button></form>`

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://shop')
  const say = (status, type, body) => response.writeHead(status, { 'content-type': type }).end(body)
  const json = (status, value) => say(status, 'application/json', `${JSON.stringify(value)}\n`)

  if (request.method === 'GET' && pathname === '/') return say(200, 'text/html; charset=utf-8', PAGE)
  if (request.method === 'GET' && pathname === '/healthz') return say(200, 'text/plain', 'ok\n')
  if (request.method === 'GET' && pathname === '/orders')
    return json(200, { orders: countOrders(), servedBy: UNDERSTUDY_NODE })
  if (request.method === 'POST' && pathname === '/orders') {
    request.resume()
    const order = { id: randomUUID(), item: 'a cup of tea', at: new Date().toISOString() }
    await orders.appendFile(`${JSON.stringify(order)}\n`)
    await orders.datasync()
    return json(201, order)
  }
  return json(404, { error: 'there is nothing here' })
}

function countOrders() {
  return readFileSync(ordersFile, 'utf8').split('\n').length - 1
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => response.writeHead(500).end(`${error.message}\n`))
})
server.listen(Number(PORT), HOST)

// Asked to end: take nothing new, finish what is there, then go.
process.on('SIGTERM', () => server.close(() => process.exit(0)))
