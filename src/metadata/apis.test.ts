import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type Answer, parseTarget, type Route} from './answer.ts'
import {publicRoute} from './public-api.ts'
import {registrationRoute} from './registration-api.ts'
import {Registry} from './registry.ts'
import {Signer} from './signer.ts'

const token = '0123456789abcdef0123456789abcdef'
const uuid = '71a713a3-c583-4798-85a2-f8a7e602aac9'
const other = '2b1e2a6c-4f0c-4d0a-9a3f-0f5b7c1e8d11'
const image = {
  acKind: 'ImageManifest',
  acVersion: '0.8.11',
  annotations: [
    {name: 'authors', value: 'ada'},
    {name: 'example.com/kept', value: 'yes'},
  ],
  name: 'example.com/app',
}
const pod = {
  acKind: 'PodManifest',
  acVersion: '0.8.11',
  annotations: [{name: 'example.com/colour', value: 'blue'}],
  apps: [
    {
      annotations: [
        {name: 'authors', value: 'bob'},
        {name: 'example.com/added', value: 'too'},
      ],
      image: {id: `sha512-${'a'.repeat(64)}`},
      name: 'app',
    },
  ],
}

class Service {
  readonly registry = new Registry()
  readonly signer = new Signer()

  register(method: string, target: string, body: unknown = ''): Answer {
    return answered(registrationRoute(this.registry, asked(method, target)), typeof body === 'string' ? body : JSON.stringify(body))
  }

  ask(method: string, path: string, body: Buffer | string = '', as = token): Answer {
    return answered(publicRoute(this.registry, this.signer, asked(method, `/${as}/acMetadata/v1${path}`)), body)
  }
}

function asked(method: string, target: string) {
  const parsed = parseTarget(method, target)
  assert.ok(parsed, target)
  return parsed
}

function answered(route: Route, body: Buffer | string): Answer {
  return 'status' in route ? route : route.read(Buffer.from(body))
}

function aService(): Service {
  const service = new Service()
  assert.equal(service.register('PUT', `/pods/${uuid}?token=${token}`, pod).status, 200)
  assert.equal(service.register('PUT', `/pods/${uuid}/app`, image).status, 200)
  return service
}

test('a pod reads what it is, with the types of the specification to the letter', () => {
  const service = aService()
  const expected: [path: string, type: string, body: string][] = [
    ['/pod/uuid', 'text/plain; charset=us-ascii', uuid],
    ['/pod/annotations', 'application/json', JSON.stringify(pod.annotations)],
    ['/pod/annotations/example.com/colour', 'text/plain; charset=us-ascii', 'blue'],
    ['/pod/annotations/example.com%2Fcolour', 'text/plain; charset=us-ascii', 'blue'],
    ['/apps/app/image/id', 'text/plain; charset=us-ascii', `sha512-${'a'.repeat(64)}`],
    ['/apps/app/annotations/authors', 'text/plain; charset=us-ascii', 'bob'],
    ['/apps/app/annotations/example.com/kept', 'text/plain; charset=us-ascii', 'yes'],
  ]
  for (const [path, type, body] of expected) assert.deepEqual(service.ask('GET', path), {body, status: 200, type}, path)
  const manifest = service.ask('GET', '/pod/manifest')
  assert.equal(manifest.type, 'application/json')
  assert.equal(JSON.parse(manifest.body).apps[0].name, 'app')
  assert.equal(JSON.parse(service.ask('GET', '/apps/app/image/manifest').body).name, 'example.com/app')
})

test("the pod's annotations of an app take the place of its image's, and new ones follow", () => {
  const annotations = JSON.parse(aService().ask('GET', '/apps/app/annotations').body)

  assert.deepEqual(annotations, [
    {name: 'authors', value: 'bob'},
    {name: 'example.com/kept', value: 'yes'},
    {name: 'example.com/added', value: 'too'},
  ])
})

test('what cannot be answered has its documented status and text', () => {
  const service = aService()
  const expected: [method: string, path: string, status: number, body: string, as?: string][] = [
    ['GET', '/pod/uuid', 401, 'pod not found\n', 'f'.repeat(32)],
    ['GET', '/apps/app/image/id', 401, 'pod not found\n', uuid],
    ['GET', '/apps/nobody/annotations', 404, 'app not found\n'],
    ['GET', '/apps/nobody/image/id', 404, 'app not found\n'],
    ['GET', '/apps//annotations', 400, 'app missing'],
    ['GET', '/apps/App/annotations', 400, 'App name "App" is not a valid AC Name'],
    ['GET', '/pod/annotations/UPPER', 400, 'Pod annotation "UPPER" is not a valid AC Identifier'],
    ['GET', '/pod/annotations/none', 404, 'Pod annotation "none" not found'],
    ['GET', '/apps/app/annotations/UPPER', 400, 'App annotation name "UPPER" is not a valid AC Identifier'],
    ['GET', '/apps/app/annotations/none', 404, 'App annotation "none" not found'],
    ['POST', '/pod/uuid', 405, ''],
    ['GET', '/pod/hmac/sign', 405, ''],
    ['GET', '/pod/nothing', 404, '404 page not found\n'],
    ['GET', '/pod/__proto__', 404, '404 page not found\n'],
  ]
  for (const [method, path, status, body, as] of expected) {
    const answer = service.ask(method, path, '', as)
    assert.deepEqual([answer.status, answer.body], [status, body], `${method} ${path}`)
  }
})

test('a signature is good for its pod and its content, whatever bytes those are, and for nothing else', () => {
  const service = aService()
  const content = '%00%ff+%e4'
  const signature = service.ask('POST', '/pod/hmac/sign', `content=${content}`).body
  assert.equal(Buffer.from(signature, 'base64').length, 64)
  const verify = (fields: Record<string, string>, raw = `content=${content}`) =>
    service.ask('POST', '/pod/hmac/verify', `${raw}&${new URLSearchParams(fields)}`, 'anybody')

  assert.deepEqual([verify({signature, uuid}).status, verify({signature, uuid}).body], [200, ''])
  assert.equal(verify({signature, uuid: uuid.toUpperCase()}).status, 200)
  assert.equal(verify({signature, uuid: other}).status, 403)
  assert.equal(verify({signature, uuid}, 'content=%00%fe+%e4').status, 403)
  assert.equal(verify({signature: Buffer.alloc(64).toString('base64'), uuid}).status, 403)
  assert.equal(verify({signature: 'AAAA', uuid}).status, 403, 'too short to be one')
  const foreign = new Service()
  foreign.register('PUT', `/pods/${uuid}?token=${token}`, pod)
  const elsewhere = foreign.ask('POST', '/pod/hmac/sign', `content=${content}`).body
  assert.equal(verify({signature: elsewhere, uuid}).status, 403, 'a key of another service')
})

test('a request to sign or verify that lacks something says what', () => {
  const service = aService()
  const texts = (path: string, body: string) => service.ask('POST', path, body).body

  assert.equal(texts('/pod/hmac/sign', 'contents=x'), 'content form value not found')
  assert.match(texts('/pod/hmac/verify', 'content=x&signature=AAAA'), /^uuid field missing or malformed: /)
  assert.match(texts('/pod/hmac/verify', 'uuid=1&content=x&signature=AAAA'), /^uuid field missing or malformed: /)
  assert.equal(texts('/pod/hmac/verify', `uuid=${uuid}&signature=AAAA`), 'content field missing')
  assert.match(texts('/pod/hmac/verify', `uuid=${uuid}&content=x`), /^signature field missing or corrupt: /)
  assert.match(texts('/pod/hmac/verify', `uuid=${uuid}&content=x&signature=***`), /^signature field missing or corrupt: /)
})

test('a registration that cannot be is refused and changes nothing', () => {
  const service = aService()
  const expected: [method: string, target: string, body: unknown, status: number, text: RegExp][] = [
    ['PUT', `/pods/nonsense?token=${token}`, pod, 400, /^UUID is missing or malformed: /],
    ['PUT', `/pods/${other}`, pod, 400, /^token missing$/],
    ['PUT', `/pods/${other}?token=a/b`, pod, 400, /^token malformed$/],
    ['PUT', `/pods/${other}?token=${token}`, pod, 400, /^token is the one of another pod$/],
    ['PUT', `/pods/${other}?token=${'1'.repeat(32)}`, '{', 400, /^JSON-decoding failed: /],
    ['PUT', `/pods/${other}?token=${'1'.repeat(32)}`, image, 400, /^JSON-decoding failed: /],
    ['PUT', `/pods/${other}/app`, image, 404, /^Pod with given UUID not found$/],
    ['PUT', `/pods/${uuid}/`, image, 400, /^app missing$/],
    ['PUT', `/pods/${uuid}/APP`, image, 400, /^app malformed: /],
    ['PUT', `/pods/${uuid}/app`, '[]', 400, /^JSON-decoding failed: /],
    ['DELETE', `/pods/${other}`, '', 404, /^pod not found$/],
    ['DELETE', '/pods/1', '', 400, /^UUID is missing or malformed: /],
    ['GET', `/pods/${uuid}`, '', 405, /^$/],
    ['PUT', '/elsewhere', '', 404, /^404 page not found/],
  ]
  for (const [method, target, body, status, text] of expected) {
    const answer = service.register(method, target, body)
    assert.equal(answer.status, status, `${method} ${target}`)
    assert.match(answer.body, text, `${method} ${target}`)
  }
  assert.equal(service.registry.size, 1)
  assert.equal(service.ask('GET', '/pod/uuid').status, 200)
})

test('a pod that is registered anew is known by its new token only, and one that is removed by none', () => {
  const service = aService()
  const fresh = 'f'.repeat(32)

  service.register('PUT', `/pods/${uuid}?token=${fresh}`, pod)

  assert.equal(service.ask('GET', '/pod/uuid').status, 401)
  assert.equal(service.ask('GET', '/pod/uuid', '', fresh).status, 200)
  assert.equal(service.register('DELETE', `/pods/${uuid}`).status, 200)
  assert.equal(service.ask('GET', '/pod/uuid', '', fresh).status, 401)
})

test('a path that cannot be decoded is none', () => {
  assert.equal(parseTarget('GET', '/%zz'), undefined)
  assert.equal(parseTarget('GET', '/%ff'), undefined)
})
