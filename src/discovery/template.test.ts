import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseImageString} from '../appc/index.ts'
import {fillTemplate} from './template.ts'

const fill = (template: string, image: string) => fillTemplate(template, parseImageString(image), 'aci')

const cases: readonly (readonly [template: string, image: string, url: string | null])[] = [
  [
    'https://storage.example.com/{os}/{arch}/{name}-{version}.{ext}',
    'example.com/reduce-worker:1.0.0,os=linux,arch=amd64',
    'https://storage.example.com/linux/amd64/example.com/reduce-worker-1.0.0.aci',
  ],
  ['https://a/{name}-{version}.{ext}', 'a.com/b', 'https://a/a.com/b-latest.aci'],
  ['https://a/{name}-{version}.{ext}', 'a.com/b,version=', 'https://a/a.com/b-latest.aci'],
  ['https://a/{name}.{ext}', 'a.com/b,unused=x', 'https://a/a.com/b.aci'],
  ['https://a/{name}/{flavor}.{ext}', 'a.com/b', null],
  ['https://a/{}.{ext}', 'a.com/b', null],
  ['https://a/{name}.{ext}', 'a.com/b,ext=x', 'https://a/a.com/b.aci'],
  ['https://a/{version}.{ext}', 'a.com/b,version={arch}', 'https://a/{arch}.aci'],
  ['https://a/fixed.aci', 'a.com/b', 'https://a/fixed.aci'],
]
for (const [template, image, url] of cases) {
  test(`${template} for ${image} is ${url ?? 'no template for it'}`, () => assert.equal(fill(template, image), url))
}

test('a label called name does not change the name', () => {
  const {labels, name} = parseImageString('a.com/b')
  assert.equal(
    fillTemplate('{name}', {labels: [...labels, {name, value: 'x'}, {name: 'name' as typeof name, value: 'y'}], name}, 'aci'),
    'a.com/b',
  )
})
