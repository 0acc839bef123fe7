import assert from 'node:assert/strict'
import {randomBytes} from 'node:crypto'
import type {ServerResponse} from 'node:http'
import type {Readable} from 'node:stream'
import {describe, test} from 'node:test'
import {cutAfter, type Script, type Seen, scriptedServer} from '../../test/registry/scripted-server.ts'
import {openHttp} from './client.ts'
import {openTransfer, type TransferOptions} from './transfer.ts'

const content = randomBytes(1_000_000)
const retry = {attempts: 3, baseMs: 1, capMs: 100}

async function transfer(script: Script, options: Partial<TransferOptions> = {}) {
  const server = await scriptedServer(script)
  const http = openHttp({environment: {}, idleTimeoutMs: 300, retry})
  const close = async () => {
    http.close()
    await server[Symbol.asyncDispose]()
  }
  try {
    const opened = await openTransfer({open: (headers) => http.request(server.url('/file'), {headers}), retry, ...options})
    return {
      ...opened,
      async [Symbol.asyncDispose]() {
        opened.body.destroy()
        await close()
      },
      seen: server.seen,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function all(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const rangeOf = ({headers}: Seen) => Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)

function sendRange(response: ServerResponse, start: number, headers: Record<string, string> = {}): void {
  const range = `bytes ${start}-${content.length - 1}/${content.length}`
  response.writeHead(206, {'Content-Length': String(content.length - start), 'Content-Range': range, ...headers})
  response.end(content.subarray(start))
}

describe('a transfer that breaks', () => {
  test('continues where it broke, as often as it takes', async () => {
    await using opened = await transfer((request, response, count) => {
      const start = rangeOf(request)
      if (count < 5) {
        const headers = {
          'Content-Length': String(content.length - start),
          'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}`,
          ETag: '"a"',
        }
        response.writeHead(start === 0 ? 200 : 206, headers)
        response.write(content.subarray(start, start + 150_000), () => setTimeout(() => response.destroy(), 20))
      } else sendRange(response, start, {ETag: '"a"'})
    })

    assert.deepEqual(await all(opened.body), content)

    assert.deepEqual(
      opened.seen.map((request) => request.headers['if-range']),
      [undefined, '"a"', '"a"', '"a"', '"a"', '"a"'],
    )
    assert.equal(opened.total, content.length)
  })

  test('passes over what it has where the server sends the whole again', async () => {
    await using opened = await transfer(
      (_, response, count) => (count === 0 ? cutAfter(response, content, 100_000) : response.end(content)),
      {
        immutable: true,
      },
    )
    assert.deepEqual(await all(opened.body), content)
    assert.match(opened.seen[1]?.headers.range ?? '', /^bytes=\d+-$/)
  })

  test('ends with an error where the file changed meanwhile', async () => {
    await using opened = await transfer((_, response, count) =>
      count === 0
        ? cutAfter(response, content, 100_000, {ETag: '"a"'})
        : response.writeHead(200, {ETag: '"b"'}).end(randomBytes(content.length)),
    )
    await assert.rejects(all(opened.body), {cause: new Error('the file changed on the server meanwhile'), code: 'RKT_HTTP_TRUNCATED'})
  })

  test('ends with an error where nothing tells versions apart', async () => {
    await using opened = await transfer((_, response) => cutAfter(response, content, 100_000))
    await assert.rejects(all(opened.body), {code: 'RKT_HTTP_TRUNCATED'})
    assert.equal(opened.seen.length, 1)
  })

  test('ends with an error where no progress is made', async () => {
    await using opened = await transfer((_, response) => cutAfter(response, content, 10), {immutable: true})
    await assert.rejects(all(opened.body), {code: 'RKT_HTTP_TRUNCATED'})
    assert.ok(opened.seen.length <= 4)
  })

  for (const [title, range] of [
    ['from elsewhere', 'bytes 5-999999/1000000'],
    ['of a file of another length', 'bytes 0-9/10'],
    ['that cannot be read', 'lines 1-2'],
  ] as const) {
    test(`takes no range ${title}`, async () => {
      await using opened = await transfer(
        (_, response, count) =>
          count === 0 ? cutAfter(response, content, 100_000) : response.writeHead(206, {'Content-Range': range}).end('evil'),
        {immutable: true},
      )
      await assert.rejects(all(opened.body), {code: 'RKT_HTTP_PROTOCOL'})
    })
  }

  test('and falls silent continues too', async () => {
    await using opened = await transfer(
      (request, response, count) => {
        if (count > 0) return sendRange(response, rangeOf(request))
        response.writeHead(200, {'Content-Length': String(content.length)})
        response.write(content.subarray(0, 500))
      },
      {immutable: true},
    )
    assert.deepEqual(await all(opened.body), content)
  })
})

test('a slow reader is not taken for a silent server', async () => {
  const big = Buffer.alloc(8_000_000, 'x')
  await using opened = await transfer((_, response) => response.end(big))
  let length = 0
  for await (const chunk of opened.body as AsyncIterable<Buffer>) {
    if (length === 0) await new Promise((resolve) => setTimeout(resolve, 1000))
    length += chunk.length
  }
  assert.deepEqual([length, opened.seen.length], [big.length, 1])
})

describe('a transfer of which a part is there', () => {
  test('goes on from it, where the file is the same', async () => {
    await using opened = await transfer((request, response) => sendRange(response, rangeOf(request)), {offset: 400_000, validator: '"a"'})
    assert.deepEqual([opened.start, opened.total, opened.seen[0]?.headers['if-range']], [400_000, 1_000_000, '"a"'])
    assert.deepEqual(await all(opened.body), content.subarray(400_000))
  })

  test('begins anew where it is another', async () => {
    await using opened = await transfer((_, response) => response.end(content), {offset: 400_000, validator: '"a"'})
    assert.equal(opened.start, 0)
    assert.deepEqual(await all(opened.body), content)
  })

  test('is not continued without a word about the version', async () => {
    await using opened = await transfer((_, response) => response.end(content), {offset: 400_000})
    assert.deepEqual([opened.start, opened.seen[0]?.headers.range], [0, undefined])
  })

  test('is complete where nothing is behind it, and other 416 are the caller’s', async () => {
    const script: Script = (_, response) => response.writeHead(416, {'Content-Range': `bytes */${content.length}`}).end()
    await using complete = await transfer(script, {offset: content.length, validator: '"a"'})
    assert.equal(complete.start, content.length)
    assert.equal((await all(complete.body)).length, 0)
    await using beyond = await transfer(script, {offset: content.length + 1, validator: '"a"'})
    assert.equal(beyond.status, 416)
  })
})

describe('a transfer of known size', () => {
  test('is refused at once where the server announces another', async () => {
    await assert.rejects(
      transfer((_, response) => response.end(content), {size: 5}),
      {code: 'RKT_HTTP_SIZE'},
    )
  })

  test('is cut off where more comes', async () => {
    await using opened = await transfer(
      (_, response) => {
        const more = () => response.destroyed || response.write(Buffer.alloc(1000), () => setImmediate(more))
        more()
      },
      {size: 5000},
    )
    await assert.rejects(all(opened.body), {code: 'RKT_HTTP_SIZE'})
  })

  test('is an error where less comes, each time', async () => {
    await using opened = await transfer((_, response) => void response.write('few', () => response.end()), {immutable: true, size: 5000})
    await assert.rejects(all(opened.body), {code: 'RKT_HTTP_TRUNCATED'})
  })
})
