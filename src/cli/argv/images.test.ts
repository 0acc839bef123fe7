import assert from 'node:assert/strict'
import {test} from 'node:test'
import {Flags} from '../flags.ts'
import {Values} from './collect.ts'
import {scanImages} from './images.ts'

const flags = {
  exec: Flags.custom({
    description: 'x',
    parse: (text: string, earlier: readonly string[]) => {
      if (earlier.length > 0) throw new Error('--exec specified multiple times for the same image')
      return text
    },
    perImage: true,
  }),
  full: Flags.boolean({description: 'x'}),
  'inherit-env': Flags.boolean({description: 'x'}),
  mount: Flags.string({description: 'x', multiple: true, perImage: 'or-pod'}),
  name: Flags.string({description: 'x', perImage: true}),
}

function scan(words: string[], {appArguments = true} = {}) {
  const pod = new Values(flags)
  const {images} = scanImages(words, flags, pod, {appArguments})
  return {
    images: images.map(({args, reference, values}) => ({args, flags: values.result(({perImage}) => perImage !== false), reference})),
    pod: pod.result(({perImage}) => perImage !== true),
  }
}

const plain = {exec: undefined, mount: [], name: undefined}

test('an option belongs to the image before it, a pod-wide one to the pod', () => {
  const {images, pod} = scan(['a', '--exec=/x', '--inherit-env', 'b', '--name', 'n', '--mount=m1', '--mount=m2'])

  assert.deepEqual(images, [
    {args: [], flags: {...plain, exec: '/x'}, reference: 'a'},
    {args: [], flags: {...plain, mount: ['m1', 'm2'], name: 'n'}, reference: 'b'},
  ])
  assert.deepEqual(pod, {full: false, 'inherit-env': true, mount: []})
})

test('what may belong to the pod and stands before all images belongs to the pod', () => {
  assert.deepEqual(scan(['--mount=g', 'a', '--mount=m']).pod.mount, ['g'])
})

test('-- begins the arguments of an app, a lone --- ends them', () => {
  const {images} = scan(['a', '--', '-x', '--', '--name=no', 'b', '---', 'c', '--name=n', '--', '', 'y', '---'])

  assert.deepEqual(
    images.map(({args, reference}) => [reference, args]),
    [
      ['a', ['-x', '--', '--name=no', 'b']],
      ['c', ['', 'y']],
    ],
  )
})

test('empty words and --- outside of arguments mean nothing, a lone dash is an image', () => {
  assert.deepEqual(
    scan(['', '---', 'a', '---', '-']).images.map(({reference}) => reference),
    ['a', '-'],
  )
})

const refusals: [words: string[], message: string][] = [
  [['--', 'x'], 'an image is required before any app arguments'],
  [['a', '--', 'x', '---', '--', 'y'], 'only one set of app arguments allowed per image'],
  [['a', '--exec=/a', '--exec=/b'], 'invalid argument "/b" for --exec=/b: --exec specified multiple times for the same image'],
  [['a', '--nosuch'], 'unknown flag: --nosuch'],
  [['a', '--name'], 'flag needs an argument: --name'],
]

for (const [words, message] of refusals) {
  test(`"${words.join(' ')}" is refused: ${message}`, () => assert.throws(() => scan(words), {message}))
}

test('a command that starts nothing refuses app arguments', () => {
  assert.throws(() => scan(['a', '--', 'x'], {appArguments: false}), {message: 'app arguments unsupported'})
})
