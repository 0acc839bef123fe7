import assert from 'node:assert/strict'
import {test} from 'node:test'

import {APP, app, type Fields, problem} from './fixtures.ts'

test('an app must have a user and a group', () => {
  assert.deepEqual(app({}), {...APP, exec: []})
  for (const field of ['user', 'group']) {
    assert.equal(
      problem(() => app({[field]: null})),
      `app.${field}: must be set`,
    )
    assert.equal(
      problem(() => app({[field]: ''})),
      `app.${field}: must not be empty`,
    )
  }
})

test('exec may be absent, null, empty or relative', () => {
  for (const exec of [undefined, null, []]) assert.deepEqual(app({exec})?.exec, [])
  assert.deepEqual(app({exec: ['sh', '']})?.exec, ['sh', ''])
})

test('supplementary group IDs are those of the kernel', () => {
  assert.deepEqual(app({supplementaryGids: [0, 4294967294]})?.supplementaryGIDs, [0, 4294967294])
  assert.equal(
    problem(() => app({supplementaryGIDs: [-1]})),
    'app.supplementaryGIDs[0]: must be at least 0, not -1',
  )
  assert.equal(
    problem(() => app({supplementaryGIDs: [4294967295]})),
    'app.supplementaryGIDs[0]: must be at most 4294967294, not 4294967295',
  )
})

test('there are two event handlers, at most one of each', () => {
  const handlers = [
    {exec: ['/a'], name: 'pre-start'},
    {exec: [], name: 'post-stop'},
  ]
  assert.deepEqual(app({eventHandlers: [handlers[0], {name: 'post-stop'}]})?.eventHandlers, handlers)
  assert.equal(
    problem(() => app({eventHandlers: [handlers[0], handlers[0]]})),
    'app.eventHandlers[1].name: duplicate event handler "pre-start"',
  )
  assert.equal(
    problem(() => app({eventHandlers: [{name: 'on-fire'}]})),
    'app.eventHandlers[0].name: must be one of "pre-start","post-stop", not the string "on-fire"',
  )
  assert.equal(
    problem(() => app({eventHandlers: [{exec: []}]})),
    'app.eventHandlers[0].name: must be set',
  )
})

test('a working directory is absolute', () => {
  assert.equal(app({workingDirectory: '/srv'})?.workingDirectory, '/srv')
  assert.equal(app({workingDirectory: ''})?.workingDirectory, undefined)
  assert.equal(
    problem(() => app({workingDirectory: 'srv'})),
    'app.workingDirectory: must be an absolute path, not "srv"',
  )
})

test('environment variables have names of letters, digits, "_", "." and "-", each once', () => {
  assert.deepEqual(app({environment: [{name: '_a.B-9', value: '$X'}, {name: 'E'}]})?.environment, [
    {name: '_a.B-9', value: '$X'},
    {name: 'E', value: ''},
  ])
  for (const name of ['', '9', '.a', 'a=b', 'ä', 'a b'])
    assert.match(
      problem(() => app({environment: [{name}]})),
      /^app\.environment\[0\]\.name: must begin with/,
    )
  assert.equal(
    problem(() => app({environment: [{name: 'A'}, {name: 'A'}]})),
    'app.environment[1].name: duplicate environment variable "A"',
  )
})

test('a mount point has a name and a path', () => {
  const points = [{name: 'a', path: '/a', readOnly: true}]

  assert.deepEqual(app({mountPoints: points})?.mountPoints, points)
  assert.deepEqual(app({mountPoints: [{name: 'a', path: 'a', readOnly: false}]})?.mountPoints, [{name: 'a', path: 'a'}])
  assert.equal(
    problem(() => app({mountPoints: [{path: '/a'}]})),
    'app.mountPoints[0].name: must be set',
  )
  assert.equal(
    problem(() => app({mountPoints: [{name: 'a'}]})),
    'app.mountPoints[0].path: must be set',
  )
  assert.equal(
    problem(() => app({mountPoints: [{name: 'a', path: ''}]})),
    'app.mountPoints[0].path: must not be empty',
  )
  assert.match(
    problem(() => app({mountPoints: [{name: 'a.b', path: '/'}]})),
    /"a\.b" is not a valid name/,
  )
})

test('a port is a range that ends at 65535 or before', () => {
  const port = (fields: Fields) => app({ports: [{name: 'p', port: 80, protocol: 'tcp', ...fields}]})?.ports?.[0]

  assert.deepEqual(port({}), {count: 1, name: 'p', port: 80, protocol: 'tcp', socketActivated: false})
  assert.equal(port({count: 0})?.count, 1)
  assert.equal(port({count: 65456})?.count, 65456)
  assert.equal(port({protocol: null})?.protocol, '')
  assert.equal(
    problem(() => port({count: 65457})),
    'app.ports[0].count: end of port range must be in 1-65535 range',
  )
  assert.equal(
    problem(() => port({count: -1})),
    'app.ports[0].count: must be at least 0, not -1',
  )
  assert.equal(
    problem(() => port({port: 0})),
    'app.ports[0].port: must be at least 1, not 0',
  )
  assert.equal(
    problem(() => port({port: 65536})),
    'app.ports[0].port: must be at most 65535, not 65536',
  )
  assert.equal(
    problem(() => port({port: null})),
    'app.ports[0].port: must be set',
  )
})
