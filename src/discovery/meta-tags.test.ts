import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {metaTags} from './meta-tags.ts'

const tag = '<meta name="ac-discovery" content="example.com https://example.com/{name}.{ext}">'
const read = {kind: 'ac-discovery', prefix: 'example.com', target: 'https://example.com/{name}.{ext}'}

describe('a meta tag is read', () => {
  const pages: Readonly<Record<string, string>> = {
    'after a doctype, in the head': `<!DOCTYPE html><html><head>${tag}</head><body></body></html>`,
    'in a body that was never opened': `<p>hello${tag}`,
    'closed by itself': tag.replace('>', '/>'),
    'in capitals': tag.replace('meta', 'META').replace('name=', 'NAME=').replace('content=', 'Content='),
    'without quotes around its name': tag.replace('"ac-discovery"', 'ac-discovery'),
    'with its attributes turned round': `<meta content="${read.prefix}  ${read.target} " property=x name='ac-discovery'>`,
    'with entities in it': `<meta name="ac&#45;discovery" content="example.com&#32;https://example.com/&lbrace;name&rbrace;.{ext}">`,
    'over several lines': `<meta\n  name="ac-discovery"\n  content="\n  example.com\n  ${read.target}\n"\n>`,
    'after text that is no tag': `<<< < a <1> </> <!-> ${tag}`,
    'after a comment that looks like its own end': `<!--> ${tag}`,
    'twice, the first attribute of a name counting': `<meta name="ac-discovery" name="x" content="example.com ${read.target}" content="a b">`,
    'below ten thousand open elements': `${'<div><table><svg>'.repeat(10_000)}${tag}`,
  }
  for (const [where, page] of Object.entries(pages)) {
    test(where, async () => assert.deepEqual(await metaTags(page), [read]))
  }
})

describe('no meta tag is', () => {
  const pages: Readonly<Record<string, string>> = {
    'one whose content has one part': '<meta name="ac-discovery" content="example.com">',
    'one whose name begins otherwise': '<meta name="x-ac-discovery" content="a b">',
    'one without a name': '<meta content="a b">',
    'one in a comment': `<!-- ${tag} -->`,
    'one in a script': `<script>var a = '${tag}'</script>`,
    'one in a style sheet': `<style>${tag}</style>`,
    'one in the title': `<title>${tag}</title>`,
    'one that a visitor wrote into a field': `<textarea>${tag}</textarea>`,
    'one behind the start of plain text': `<plaintext>${tag}`,
    'one in the attribute of another tag': `<a title='${tag}'>`,
    'one in a comment that never ends': `<!-- ${tag}`,
    'an end tag': '</meta name="ac-discovery" content="a b">',
    'one whose tag never ends': '<meta name="ac-discovery" content="a b"',
  }
  for (const [what, page] of Object.entries(pages)) {
    test(what, async () => assert.deepEqual(await metaTags(page), []))
  }
})

test('pages that cost much elsewhere are read in the time of their length', async () => {
  const size = 2 * 1024 * 1024
  const hostile = [
    `<meta ${Array.from({length: size / 8}, (_, at) => `a${at}`).join(' ')} name="ac-discovery" content="a b">`,
    `<meta ${'x '.repeat(size / 2)}>`,
    '<'.repeat(size),
    '<!--'.repeat(size / 4),
    '&'.repeat(size),
    `<a ${'&lt'.repeat(size / 3)}`,
    `<script>${'<!--<script>'.repeat(size / 12)}`,
    tag.repeat(size / tag.length),
    '\0'.repeat(size),
    '<b>'.repeat(size / 3),
  ]
  for (const page of hostile) {
    const start = performance.now()
    const tags = await metaTags(page)
    assert.ok(performance.now() - start < 5000, `${page.slice(0, 20)}… took ${Math.round(performance.now() - start)} ms`)
    assert.ok(tags.length <= 1000)
  }
})
