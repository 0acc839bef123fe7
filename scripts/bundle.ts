/**
 * Bundles the program into dist/: `rkt.js` with what every command needs, one chunk a command, `index.js` as `@rkt/engine` for plugins
 * (it shares the chunks, so there is one engine), the types of the public API, and a warm compile cache.
 */
import {execFileSync} from 'node:child_process'
import {mkdirSync, readdirSync, rmSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {build, type Plugin} from 'esbuild'
import {discoverCatalog, findCommandFiles} from '../src/cli/catalog-source.ts'
import '../src/cli/engine-hooks.ts'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

const {files, groups} = findCommandFiles(root)
const {entries, switches} = await discoverCatalog(root)

/** In place of src/cli/catalog.ts: the same catalog, without loading a command to know it. */
const generatedCatalog: Plugin = {
  name: 'generated-catalog',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^@rkt\/engine$/}, () => ({path: join(root, 'src/index.ts')}))
    onLoad({filter: /\/src\/cli\/catalog\.ts$/}, () => ({contents: catalogModule(), loader: 'js', resolveDir: root}))
  },
}

function catalogModule(): string {
  const items = files.map(({id, path}) => {
    const {hidden, summary} = entries.find((entry) => entry.id === id) ?? {hidden: false, summary: ''}
    return `{id: ${JSON.stringify(id)}, summary: ${JSON.stringify(summary)}, hidden: ${hidden}, load: () => import(${JSON.stringify(path)})}`
  })
  return `export const catalog = {
  entries: [${items.join(',\n')}],
  groups: ${JSON.stringify(groups)},
  switches: new Set(${JSON.stringify([...switches])}),
}`
}

mkdirSync(dist, {recursive: true})
for (const name of readdirSync(dist)) if (/\.js(\.map)?$/.test(name)) rmSync(join(dist, name))

await build({
  // CommonJS in the bundle asks for Node's modules through `require`.
  banner: {js: "import {createRequire as __createRequire} from 'node:module'; const require = __createRequire(import.meta.url);"},
  bundle: true,
  chunkNames: 'chunk-[hash]',
  entryNames: '[name]',
  entryPoints: [
    {in: join(root, 'src/main.ts'), out: 'rkt'},
    {in: join(root, 'src/index.ts'), out: 'index'},
  ],
  // What is loaded rarely, has files of its own, or must be shared with plugins stays in node_modules.
  external: ['@oclif/core', '@oclif/plugin-plugins', 'node-pty', 'sql.js', '*.node'],
  format: 'esm',
  keepNames: false,
  legalComments: 'none',
  minifySyntax: true,
  minifyWhitespace: true,
  outdir: dist,
  platform: 'node',
  plugins: [generatedCatalog],
  sourcemap: 'linked',
  splitting: true,
  target: 'node22.19',
  treeShaking: true,
})

emitTypes()
warmCache()

/** Declarations of the public API, for authors of plugins. */
function emitTypes(): void {
  const tsc = join(root, 'node_modules/.bin/tsc')
  const options = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--noCheck', '--rootDir', root]
  const files = ['--ignoreConfig', ...compilerOptions(), join(root, 'src/index.ts')]
  execFileSync(tsc, [...options, '--outDir', join(dist, 'types'), ...files], {stdio: 'inherit'})
}

function compilerOptions(): string[] {
  return [
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'esnext',
    '--types',
    'node',
    '--allowImportingTsExtensions',
    '--skipLibCheck',
  ]
}

/** Compiles every command once on the Node that will run them, so that the first start of a user finds its code compiled. */
function warmCache(): void {
  rmSync(join(dist, '.cache'), {force: true, recursive: true})
  const env = {...process.env, NODE_COMPILE_CACHE: join(dist, '.cache')}
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [join(dist, 'rkt.js'), ...args], {env, stdio: ['ignore', 'ignore', 'inherit']})
  run('version')
  for (const {id} of entries) run('help', ...id.split(' '))
}
