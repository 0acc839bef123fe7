import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type Port, parseExposedPort, type RuntimeApp} from '../appc/index.ts'
import {checkPorts} from './ports.ts'

const port = (name: string, number: number, count = 1, protocol = 'tcp'): Port =>
  ({count, name, port: number, protocol, socketActivated: false}) as Port

const apps = (...ports: readonly Port[]) => [{app: {ports}}] as unknown as readonly RuntimeApp[]

test('ports of other protocols, addresses or ranges do not meet', () => {
  const exposed = ['a:80', 'b:80', 'c:10.0.0.1:90', 'd:10.0.0.2:90', 'e:100', 'f:110'].map(parseExposedPort)
  checkPorts(exposed, apps(port('a', 1), port('b', 2, 1, 'udp'), port('c', 3), port('d', 4), port('e', 5, 10), port('f', 6)))
})

const refused: readonly [title: string, exposed: readonly string[], message: string][] = [
  ['no app has it', ['x:1'], 'port name "x" could not be found in any apps'],
  ['two ports have the name', ['twice:1'], 'port name "twice" defined multiple apps'],
  ['the same address', ['a:80', 'b:10.0.0.1:80'], 'port tcp-10.0.0.1:80 already mapped to pod port 1'],
  ['a range over it', ['a:85', 'range:80'], 'port tcp-0.0.0.0:80 already mapped to pod port 1'],
  ['a range past the end', ['range:65530'], 'port "range": there are no 10 ports from 65530 on'],
]

for (const [title, exposed, message] of refused)
  test(`refused: ${title}`, () => {
    const all = apps(port('a', 1), port('b', 2), port('twice', 3), port('twice', 4), port('range', 50, 10))
    assert.throws(() => checkPorts(exposed.map(parseExposedPort), all), {message})
  })
