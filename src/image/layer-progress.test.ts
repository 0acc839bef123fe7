import assert from 'node:assert/strict'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {LayerProgress} from './layer-progress.ts'

function anOutput(isTTY: boolean) {
  let text = ''
  return {
    isTTY,
    get text() {
      return text
    },
    write(more: string) {
      text += more
    },
  }
}

const [base, top] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]

test('layers get lines now and then, and one at their end, where it is no terminal', async () => {
  const output = anOutput(false)
  using progress = new LayerProgress(output, [3_400_000, null])
  const one = progress.begin(base, 3_400_000)
  const two = progress.begin(top, null)
  one.advance(1_200_000)
  two.advance(500)
  await sleep(600)
  one.advance(2_200_000)
  one.end('complete')
  two.end('failed')

  assert.deepEqual(output.text.split('\n'), [
    'Downloading sha256:aaaaaaaaaaa 1.2 MB / 3.4 MB',
    'Downloading sha256:bbbbbbbbbbb 500 B / ?',
    'Downloading sha256:aaaaaaaaaaa 3.4 MB / 3.4 MB',
    '',
  ])
})

test('on a terminal what goes on is redrawn in place, complete lines stay above, and 80 columns are kept', async () => {
  const output = anOutput(true)
  using progress = new LayerProgress(output, [3_400_000, 10_000])
  const one = progress.begin(base, 3_400_000)
  const two = progress.begin(top, 10_000)
  await sleep(600)
  two.advance(10_000)
  two.end('complete')
  one.end('complete')

  const [first = '', second = '', third = ''] = output.text.split('\x1b[J')
  assert.match(first, /^Downloading sha256:a{11} \[ +\] +0 B \/ 3\.4 MB\nDownloading sha256:b{11} \[ +\] +0 B \/ 10 KB\n\x1b\[2A$/)
  assert.match(second, /^Downloading sha256:b{11} \[=+\] +10 KB \/ 10 KB.*\nDownloading sha256:a{11} .*\n\x1b\[1A$/)
  assert.match(third, /^Downloading sha256:a{11} .*\n$/)
  for (const line of output.text.split('\n')) assert.ok(line.replace(/^\x1b\[\dA\x1b\[J/, '').length <= 80, line)
})
