import assert from 'node:assert/strict'
import {test} from 'node:test'

import {causeChain} from '../errors.ts'
import {formatVolume, parseExposedPort, parseMount, parseMountPoint, parsePort, parseVolume} from './index.ts'

function refusal(parse: () => unknown): string {
  try {
    parse()
  } catch (thrown) {
    return causeChain(thrown).join(': ')
  }
  return assert.fail('was accepted')
}

test('a volume of the host has an absolute source', () => {
  assert.deepEqual(parseVolume('data,kind=host,source=/srv'), {kind: 'host', name: 'data', source: '/srv'})
  assert.deepEqual(parseVolume('data,kind=host,source=/srv,readOnly=true,recursive=0'), {
    kind: 'host',
    name: 'data',
    readOnly: true,
    recursive: false,
    source: '/srv',
  })
})

test('the propagation of a volume of the host is one of three, and is written back', () => {
  const volume = parseVolume('data,kind=host,source=/srv,propagation=slave')

  assert.deepEqual(volume, {kind: 'host', name: 'data', propagation: 'slave', source: '/srv'})
  assert.equal(formatVolume(volume), 'data,kind=host,source=/srv,propagation=slave')
})

test('an empty volume has a mode and owners, by default 0755, 0 and 0', () => {
  assert.deepEqual(parseVolume('d,kind=empty'), {gid: 0, kind: 'empty', mode: '0755', name: 'd', uid: 0})
  assert.deepEqual(parseVolume('d,kind=empty,mode=1777,uid=5,gid=6,readOnly=F'), {
    gid: 6,
    kind: 'empty',
    mode: '1777',
    name: 'd',
    readOnly: false,
    uid: 5,
  })
})

test('the value of a source is all that stands behind its first =', () => {
  assert.deepEqual(parseVolume('d,kind=host,source=/a=b+c&d;e%20'), {kind: 'host', name: 'd', source: '/a=b+c&d;e%20'})
})

const BAD_VOLUMES: readonly [text: string, message: string][] = [
  ['data,kind', 'malformed string "name=data,kind" - has a label without a value: kind'],
  ['data,kind=host,source=/srv,propagation=both', 'propagation must be one of private, slave, shared'],
  ['data,kind=empty,propagation=slave', 'propagation for empty volume cannot be set'],
  ['data,kind=empty,x=1', 'unknown volume parameter "x"'],
  ['data,KIND=empty', 'unknown volume parameter "KIND"'],
  ['data,kind=host,kind=empty', 'label kind with multiple values ["host" "empty"]'],
  [',kind=empty', 'name must be set'],
  ['A,kind=empty', '"A" is not a valid name: ACName must be lower case alphanumeric characters plus "-"'],
  ['data', 'unrecognized volume kind: should be one of "empty", "host"'],
  ['data,kind=bogus', 'unrecognized volume kind: should be one of "empty", "host"'],
  ['data,kind=host', 'source for host volume cannot be empty'],
  ['data,kind=host,source=srv', 'source for host volume must be absolute path'],
  ['data,kind=host,source=/srv,mode=0755', 'mode for host volume cannot be set'],
  ['data,kind=host,source=/srv,uid=0', 'uid for host volume cannot be set'],
  ['data,kind=host,source=/srv,gid=0', 'gid for host volume cannot be set'],
  ['data,kind=empty,source=/srv', 'source for empty volume must be empty'],
  ['data,kind=empty,mode=0999', 'mode for empty volume must be octal digits'],
  ['data,kind=empty,mode=', 'mode for empty volume must be octal digits'],
  ['data,kind=empty,readOnly=yes', 'readOnly must be true or false, not "yes"'],
  ['data,kind=empty,uid=-1', 'uid must be a number from 0 to 4294967294, not "-1"'],
  ['data,kind=empty,gid=4294967295', 'gid must be a number from 0 to 4294967294, not "4294967295"'],
]

for (const [text, message] of BAD_VOLUMES) {
  test(`the volume ${text} is refused: ${message}`, () => {
    assert.equal(
      refusal(() => parseVolume(text)),
      message,
    )
  })
}

test('a volume is printed in one order, without what is the default', () => {
  const texts = {
    'd,recursive=true,readOnly=1,source=/srv,kind=host': 'd,kind=host,source=/srv,readOnly=true,recursive=true',
    'd,gid=7,kind=empty,mode=0755': 'd,kind=empty,gid=7',
    'd,kind=empty,mode=0700,uid=0,gid=0': 'd,kind=empty,mode=0700',
  }
  for (const [text, printed] of Object.entries(texts)) {
    assert.equal(formatVolume(parseVolume(text)), printed)
    assert.deepEqual(parseVolume(printed), parseVolume(text))
  }
})

test('a mount names a volume and a target', () => {
  assert.deepEqual(parseMount('volume=data,target=/var/lib'), {path: '/var/lib', volume: 'data'})
})

test('what is no mount is refused', () => {
  assert.equal(
    refusal(() => parseMount('volume=a,path=/x')),
    'unknown mount parameter "path"',
  )
  assert.equal(
    refusal(() => parseMount('volume=a,target=/x,target=/y')),
    'label target with multiple values ["/x" "/y"]',
  )
  assert.equal(
    refusal(() => parseMount('volume=A,target=/x')),
    'invalid volume name "A" in --mount flag "volume=A,target=/x": "A" is not a valid name: ACName must be lower case alphanumeric characters plus "-"',
  )
  assert.match(
    refusal(() => parseMount('target=/x')),
    /^invalid volume name "" in --mount flag "target=\/x": /,
  )
  assert.equal(
    refusal(() => parseMount('volume=a')),
    'missing target= parameter in --mount flag "volume=a"',
  )
})

test('a mount point has a name and a path', () => {
  assert.deepEqual(parseMountPoint('work,path=/opt,readOnly=true'), {name: 'work', path: '/opt', readOnly: true})
  assert.deepEqual(parseMountPoint('work,path=/opt'), {name: 'work', path: '/opt'})
  assert.equal(
    refusal(() => parseMountPoint('work')),
    'path must be set',
  )
  assert.equal(
    refusal(() => parseMountPoint('work,path=/x,mode=1')),
    'unknown mount point parameter "mode"',
  )
})

test('a port of an app has a number and perhaps a count', () => {
  assert.deepEqual(parsePort('q,protocol=tcp,port=8080'), {count: 1, name: 'q', port: 8080, protocol: 'tcp', socketActivated: false})
  assert.deepEqual(parsePort('q,protocol=udp,port=1,count=65535,socketActivated=t'), {
    count: 65535,
    name: 'q',
    port: 1,
    protocol: 'udp',
    socketActivated: true,
  })
})

test('what is no port of an app is refused', () => {
  assert.equal(
    refusal(() => parsePort('q,protocol=tcp')),
    'port must be in 1-65535 range',
  )
  assert.equal(
    refusal(() => parsePort('q,port=65536')),
    'port must be a number from 0 to 65535, not "65536"',
  )
  assert.equal(
    refusal(() => parsePort('q,port=2,count=65535')),
    'end of port range must be in 1-65535 range',
  )
  assert.equal(
    refusal(() => parsePort('q,port=2,host=1')),
    'unknown port parameter "host"',
  )
})

test('a port of the host may name an address', () => {
  assert.deepEqual(parseExposedPort('http:8080'), {hostPort: 8080, name: 'http'})
  assert.deepEqual(parseExposedPort('http:127.0.0.1:80'), {hostIP: '127.0.0.1', hostPort: 80, name: 'http'})
  assert.deepEqual(parseExposedPort('http:[::1]:80'), {hostIP: '::1', hostPort: 80, name: 'http'})
})

test('what is no port of the host is refused', () => {
  assert.equal(
    refusal(() => parseExposedPort('http')),
    '"http" is not in name:[ip:]port format',
  )
  assert.equal(
    refusal(() => parseExposedPort('a:b:c:d')),
    '"a:b:c:d" is not in name:[ip:]port format',
  )
  assert.match(
    refusal(() => parseExposedPort('Http:80')),
    /^"Http" is not a valid port name: /,
  )
  assert.equal(
    refusal(() => parseExposedPort('http:localhost:80')),
    '"localhost" is not a valid IP',
  )
  assert.equal(
    refusal(() => parseExposedPort('http:x')),
    '"x" is not a valid port number',
  )
  assert.equal(
    refusal(() => parseExposedPort('http:0')),
    '"0" is not a valid port number',
  )
  assert.equal(
    refusal(() => parseExposedPort('http:127.0.0.1:65536')),
    '"127.0.0.1" is not a valid port number',
  )
})
