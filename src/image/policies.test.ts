/** The table of docs/fetching.md, row by row on real servers; `UPDATE_DOCS=1` writes it anew. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {type RegistryServer, registryMissing, startRegistry, writeLayout} from '../../test/registry/harness.ts'
import {aHost, aTlsServer, unverified} from './fixture.ts'
import type {PullPolicy} from './index.ts'

const document = join(import.meta.dirname, '../../docs/fetching.md')
const archives = ['file', 'URL', 'fresh URL', 'name', 'hash'] as const
const images = ['`docker://`', '`oci:`', '`docker-archive:`'] as const
const policies: readonly PullPolicy[] = ['new', 'update', 'never']
const name = 'localhost/app'

type Archive = (typeof archives)[number]
type Image = (typeof images)[number]
/** What the remote, or the file, has when the reference is asked for the second time. */
type Change = 'absent' | 'changed' | 'unchanged'

/** What one fetch of an archive did, in words of the table. */
async function archiveOutcome(kind: Archive, pullPolicy: PullPolicy, change: Change): Promise<string> {
  let body: Buffer
  let tag = '"1"'
  using server = await aTlsServer((request, response) => {
    if (request.url?.includes('ac-discovery')) {
      const tags = `<meta name="ac-discovery" content="localhost https://localhost:${server.port}/app.{ext}">`
      return void response.writeHead(200).end(tags)
    }
    if (request.headers['if-none-match'] === tag) return void response.writeHead(304).end()
    const fresh = kind === 'fresh URL' ? {'cache-control': 'max-age=60'} : {}
    response.writeHead(200, {'content-length': body.length, etag: tag, ...fresh}).end(body)
  })
  using host = aHost({ca: server.ca, discoveryPort: server.port})
  const path = await host.archive(name, {file: 'app'})
  body = readFileSync(path)
  const references = {'fresh URL': `${server.url}/app.aci`, URL: `${server.url}/app.aci`, file: path, hash: '', name}
  const first = change === 'absent' ? null : await host.find(kind === 'hash' ? path : references[kind], unverified)
  if (change === 'changed') {
    await host.archive(name, {annotations: [{name: 'changed', value: 'yes'}], file: 'app'})
    body = readFileSync(path)
    tag = '"2"'
  }
  server.asked.length = 0
  const reference = kind === 'hash' ? (first ?? `sha512-${'0'.repeat(64)}`) : references[kind]
  let second: string
  try {
    second = await host.find(reference, {...unverified, pullPolicy})
  } catch {
    return 'refused'
  }
  const asked = server.asked.filter((line) => !line.includes('ac-discovery'))
  if (kind === 'file') return second === first ? 'read again, the same image' : 'read, imported'
  if (asked.length === 0) return 'from the store, nobody asked'
  return second === first ? 'asked, not modified, from the store' : 'downloaded'
}

/** The same for an image of a registry or of a file. */
async function imageOutcome(kind: Image, pullPolicy: PullPolicy, change: Change, registry: RegistryServer): Promise<string> {
  using host = aHost()
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const [layout, archive] = [join(host.dir, 'layout'), join(host.dir, 'saved.tar')]
  const publish = async (content: string) => {
    rmSync(layout, {force: true, recursive: true})
    rmSync(archive, {force: true})
    await writeLayout(layout, [{architecture, layers: [{'bin/hello': content}]}])
    if (kind === '`docker://`') registry.push(layout, 'ns/app:1.0')
    const to = `docker-archive:${archive}:example.com/app:1.0`
    if (kind === '`docker-archive:`') execFileSync('skopeo', ['--insecure-policy', 'copy', '--quiet', `oci:${layout}`, to])
  }
  const reference = {
    '`docker-archive:`': `docker-archive:${archive}`,
    '`docker://`': `docker://${registry.host}/ns/app:1.0`,
    '`oci:`': `oci:${layout}`,
  }[kind]
  await publish('hello')
  const first = change === 'absent' ? null : await host.find(reference, unverified)
  if (change === 'changed') await publish('hello again')
  host.lines.length = 0
  let second: string
  try {
    second = await host.find(reference, {...unverified, pullPolicy})
  } catch {
    return 'refused'
  }
  if (kind !== '`docker://`') return second === first ? 'read again, the same image' : 'read, imported'
  if (host.lines.some((line) => line.startsWith('image: using image from local store'))) return 'from the store, nobody asked'
  return host.lines.some((line) => line.endsWith('has not changed, not fetching.')) ? 'asked, not modified, from the store' : 'downloaded'
}

test('the pull policies do what the table of the documents says', {skip: registryMissing()}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'rkt-policies-'))
  t.after(() => rmSync(directory, {recursive: true}))
  await using registry = await startRegistry({directory})
  const rows: string[] = []
  for (const kind of [...archives, ...images]) {
    for (const change of kind === 'hash' ? (['absent', 'unchanged'] as const) : (['absent', 'unchanged', 'changed'] as const)) {
      const cells: string[] = []
      for (const policy of policies) {
        const isArchive = (archives as readonly string[]).includes(kind)
        const done = isArchive ? archiveOutcome(kind as Archive, policy, change) : imageOutcome(kind as Image, policy, change, registry)
        cells.push(await done)
      }
      const state = change === 'absent' ? 'absent' : `stored, ${change === 'changed' ? 'since changed' : 'unchanged'}`
      rows.push(`| ${kind} | ${state} | ${cells.join(' | ')} |`)
    }
  }
  const table = ['| reference | image | `new` | `update` | `never` |', '|---|---|---|---|---|', ...rows].join('\n')
  const text = readFileSync(document, 'utf8')
  const wanted = text.replace(/(<!-- policies: begin -->\n)[\s\S]*(<!-- policies: end -->)/, `$1\n${table}\n\n$2`)
  if (process.env.UPDATE_DOCS) writeFileSync(document, wanted)
  else assert.equal(text, wanted)
})
