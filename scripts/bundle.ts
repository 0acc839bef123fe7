/**
 * Bundles the program into dist/:
 *
 *     rkt.js                the program
 *     core.js               the command line, configuration and errors: what every command needs
 *     engine.js             the engine's rooms: what commands over pods and images need
 *     vendor/*.js           packages that the engine loads when it needs them
 *     commands/**.js        one file a command, those of the four plugins included
 *     index.js              `@rkt/engine`, the public API; it shares core.js and engine.js, so that there is one engine
 *     types/                the types of the public API
 *     .cache/               compiled code
 *
 * The parts are cut by hand at the rooms' front doors: loading a module costs more than compiling it, and esbuild's own splitting makes
 * a dozen chunks of what every command loads.
 */

import * as nodeBuffer from 'node:buffer'
import {execFileSync} from 'node:child_process'
import * as nodeFs from 'node:fs'
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs'
import * as nodeOs from 'node:os'
import {tmpdir} from 'node:os'
import {join, relative, resolve} from 'node:path'
import * as nodeUrl from 'node:url'
import * as nodeUtil from 'node:util'
import {type BuildOptions, build, type Plugin} from 'esbuild'
import '../src/cli/engine-hooks.ts'
import {discoverCatalog, findCommandFiles} from '../src/cli/catalog-source.ts'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')
const source = (path: string) => join(root, 'src', path)

const coreDoors = ['errors.ts', 'diagnostics.ts', 'config/index.ts', 'cli/index.ts'].map(source)
const engineDoors = [
  'appc',
  'native',
  'http',
  'oci',
  'store',
  'trust',
  'discovery',
  'registry',
  'treestore',
  'image',
  'stage1',
  'pod',
  'engine',
]
  .map((room) => source(`${room}/index.ts`))
  .filter((door) => existsSync(door))

const {files, groups} = findCommandFiles(root)
const {entries, switches} = await discoverCatalog(root)
const commandOutput = (id: string) => `commands/${id.split(' ').join('/')}`

// CommonJS in a bundle asks for Node's modules through `require`.
const banner = {js: "import {createRequire as __createRequire} from 'node:module'; const require = __createRequire(import.meta.url);"}

/** Functions of Node's modules that cost milliseconds to load: what only calls them loads the module with the first call. */
const lazyFunctions: Readonly<Record<string, readonly string[]>> = {
  'node:crypto': ['createHash', 'createHmac', 'randomBytes', 'randomUUID', 'timingSafeEqual'],
  'node:module': ['createRequire'],
  'node:net': ['connect', 'createServer', 'isIP', 'isIPv4', 'isIPv6'],
  'node:stream/promises': ['finished', 'pipeline'],
  'node:timers/promises': ['setTimeout'],
  'node:zlib': ['createGunzip', 'createGzip'],
}

/** Classes of such modules that are made with `new` and never extended. */
const lazyClasses: Readonly<Record<string, readonly string[]>> = {
  'node:net': ['Socket'],
  'node:stream': ['Transform', 'Writable'],
}

/** Stands in for those modules; an import of a name that is not listed fails the build. */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup({onLoad, onResolve}) {
    const ours = (importer: string) => importer.startsWith(root) && !importer.includes('/node_modules/')
    // `await import('node:…')` loads late as it is, and may ask for any name.
    onResolve({filter: /^node:/}, ({importer, kind, path}) =>
      kind !== 'dynamic-import' && (path in namedBuiltins || path in lazyFunctions || path in lazyClasses) && ours(importer)
        ? {namespace: 'lazy-builtin', path, sideEffects: false}
        : undefined,
    )
    onLoad({filter: /./, namespace: 'lazy-builtin'}, ({path}) => ({contents: lazyModule(path), loader: 'js'}))
  },
}

/**
 * An `import` of these reads every name they have, and that loads Node's streams, workers, diffs …: 13% of the time that a short command
 * takes. Here each name is read by the file that uses it, and only then.
 */
const namedBuiltins: Readonly<Record<string, object>> = {
  'node:buffer': nodeBuffer,
  'node:fs': nodeFs,
  'node:os': nodeOs,
  'node:url': nodeUrl,
  'node:util': nodeUtil,
}

function namedModule(path: string, module: object): string {
  const names = Object.keys(module).filter((name) => /^[a-z]\w*$/i.test(name) && name !== 'default')
  const exports = names.map((name) => `export const ${name} = /* @__PURE__ */ (() => builtin.${name})()`)
  return [`const builtin = /* @__PURE__ */ process.getBuiltinModule('${path}')`, ...exports].join('\n')
}

function lazyModule(path: string): string {
  const named = namedBuiltins[path]
  if (named !== undefined) return namedModule(path, named)
  const functions = (lazyFunctions[path] ?? []).map(
    (name) => `export const ${name} = (...args) => process.getBuiltinModule('${path}').${name}(...args)`,
  )
  const classes = (lazyClasses[path] ?? []).map(
    (name) => `export function ${name}(...args) { return new (process.getBuiltinModule('${path}').${name})(...args) }`,
  )
  return [...functions, ...classes].join('\n')
}

/** Packages that a part loads only when it needs them; each becomes a file of its own. */
const vendored = new Set<string>()
const vendorPackages = (depth = ''): Plugin => ({
  name: 'vendor-packages',
  setup({onResolve}) {
    onResolve({filter: /^[^./]/}, ({kind, path}) => {
      if (kind !== 'dynamic-import' || path.startsWith('node:') || settings.external.includes(path)) return undefined
      vendored.add(path)
      return {external: true, path: `./${depth}vendor/${path}.js`}
    })
  },
})

const settings = {
  bundle: true,
  // What is loaded rarely and must be the copy that plugins see, or has files of its own, stays in node_modules.
  // proto-loader is what grpc-js compiles .proto files with, which ours need not.
  external: ['@grpc/proto-loader', '@oclif/core', '@oclif/plugin-plugins', 'node-pty', 'sql.js', '*.node'],
  format: 'esm',
  legalComments: 'none',
  minifySyntax: true,
  minifyWhitespace: true,
  outdir: dist,
  platform: 'node',
  sourcemap: 'linked',
  target: 'node22.21',
} satisfies BuildOptions

/** Takes the modules at `doors` out of a part: it imports them from `file` of dist. */
function elsewhere(doors: readonly string[], file: string, depth = ''): Plugin {
  const found = new Set(doors)
  return {
    name: `elsewhere-${file}`,
    setup({onResolve}) {
      onResolve({filter: /\.ts$/}, ({importer, path, resolveDir}) => {
        const external = importer !== '' && found.has(resolve(resolveDir, path))
        return external ? {external: true, path: `./${depth}${file}`} : undefined
      })
    },
  }
}

/** One module that exports all that its doors export; two doors that give one name two meanings are refused. */
async function part(name: string, doors: readonly string[], more: string, plugins: Plugin[]): Promise<void> {
  const contents = [...doors.map((door) => `export * from ${JSON.stringify(door)}`), more].join('\n')
  await refuseAmbiguity(doors)
  await build({
    ...settings,
    entryNames: name,
    plugins,
    stdin: {contents, loader: 'js', resolveDir: root, sourcefile: `${name}.js`},
  })
}

async function refuseAmbiguity(doors: readonly string[]): Promise<void> {
  const seen = new Map<string, unknown>()
  for (const door of doors) {
    for (const [name, value] of Object.entries((await import(door)) as Record<string, unknown>)) {
      if (seen.has(name) && seen.get(name) !== value) throw new Error(`two front doors export ${name}, one of them ${relative(root, door)}`)
      seen.set(name, value)
    }
  }
}

/** One package as a file, with the names that it has in Node: of a CommonJS package esbuild alone would export the default only. */
async function vendor(name: string): Promise<void> {
  const names = Object.keys((await import(name)) as object).filter((key) => key !== 'module.exports')
  const contents = `export {${names.join(', ')}} from ${JSON.stringify(name)}`
  await build({
    ...settings,
    banner,
    entryNames: `vendor/${name}`,
    stdin: {contents, loader: 'js', resolveDir: root, sourcefile: `${name}.js`},
  })
}

/** In place of src/cli/catalog.ts: the same catalog, without loading a command to know it. */
const generatedCatalog: Plugin = {
  name: 'generated-catalog',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^\.\/commands\/.*\.js$/}, ({path}) => ({external: true, path}))
    onLoad({filter: /\/src\/cli\/catalog\.ts$/}, () => ({contents: catalogModule(), loader: 'js', resolveDir: root}))
  },
}

function catalogModule(): string {
  const items = entries.map(({hidden, id, summary}) => {
    const facts = `hidden: ${hidden}, id: ${JSON.stringify(id)}, summary: ${JSON.stringify(summary)}`
    return `{${facts}, load: () => import('./${commandOutput(id)}.js')}`
  })
  return `export const catalog = {
  entries: [${items.join(',\n')}],
  groups: ${JSON.stringify(groups)},
  switches: new Set(${JSON.stringify([...switches])}),
}`
}

/** Commands take only the constants of appc that they name. */
const pureAppc: Plugin = {
  name: 'pure-appc',
  setup({onResolve}) {
    onResolve({filter: /\/appc\/index\.ts$|^\.\/.*\.ts$/}, ({importer, path, resolveDir}) => {
      const target = resolve(resolveDir, path)
      const appc = importer !== '' && target.startsWith(source('appc/'))
      return appc ? {path: target, sideEffects: false} : undefined
    })
  },
}

/** `@rkt/engine` is the module beside the commands. */
const publicApi = (depth: string): Plugin => ({
  name: 'public-api',
  setup({onResolve}) {
    onResolve({filter: /^@rkt\/engine$/}, () => ({external: true, path: `./${depth}index.js`}))
  },
})

async function bundleCommand(id: string, path: string): Promise<void> {
  const depth = '../'.repeat(id.split(' ').length)
  const doors = engineDoors.filter((door) => !door.includes('/appc/'))
  await build({
    ...settings,
    entryPoints: [{in: path, out: commandOutput(id)}],
    plugins: [
      elsewhere(coreDoors, 'core.js', depth),
      elsewhere(doors, 'engine.js', depth),
      pureAppc,
      publicApi(depth),
      lazyBuiltins,
      vendorPackages(depth),
    ],
  })
}

for (const name of existsSync(dist) ? readdirSync(dist) : []) {
  if (/\.js(\.map)?$|^(commands|vendor)$|^types$|^\.cache$/.test(name)) rmSync(join(dist, name), {recursive: true})
}
mkdirSync(dist, {recursive: true})

const hooks = {entryPoints: [{in: source('cli/engine-hooks.ts'), out: 'engine-hooks'}]}
const program = `
export {catalog} from ${JSON.stringify(source('cli/catalog.ts'))}
export {dispatch} from ${JSON.stringify(source('cli/dispatch.ts'))}`
const parts: Plugin[] = [elsewhere(engineDoors, 'engine.js'), elsewhere([source('cli/engine-hooks.ts')], 'engine-hooks.js')]
await Promise.all([
  part('core', coreDoors, program, [generatedCatalog, ...parts, lazyBuiltins]),
  part('engine', engineDoors, '', [elsewhere(coreDoors, 'core.js'), lazyBuiltins, vendorPackages()]),
  build({...settings, ...hooks}),
  build({
    ...settings,
    entryPoints: [
      {in: source('main.ts'), out: 'rkt'},
      {in: source('index.ts'), out: 'index'},
    ],
    plugins: [
      elsewhere([...coreDoors, source('cli/catalog.ts'), source('cli/dispatch.ts')], 'core.js'),
      elsewhere(engineDoors, 'engine.js'),
    ],
  }),
  ...files.map(({id, path}) => bundleCommand(id, path)),
])
await Promise.all([...vendored].map(vendor))
// The store's index is SQLite as WebAssembly.
copyFileSync(join(root, 'node_modules/sql.js/dist/sql-wasm.wasm'), join(dist, 'sql-wasm.wasm'))
emitTypes()
warmCache()

/** Declarations of the public API, for authors of plugins. */
function emitTypes(): void {
  const emit = ['--emitDeclarationOnly', '--declaration', '--noCheck', '--rootDir', root, '--outDir', join(dist, 'types')]
  const language = ['--ignoreConfig', '--module', 'nodenext', '--target', 'es2024', '--lib', 'esnext', '--types', 'node', '--skipLibCheck']
  execFileSync(join(root, 'node_modules/.bin/tsc'), [...emit, ...language, '--allowImportingTsExtensions', source('index.ts')], {
    stdio: 'inherit',
  })
}

/** Compiles every command once on the Node that will run them, so that the first start of a user finds its code compiled. */
function warmCache(): void {
  const env = {...process.env, NODE_COMPILE_CACHE: join(dist, '.cache')}
  const rkt = (...words: string[]) => {
    execFileSync(process.execPath, [join(dist, 'rkt.js'), ...words], {env, stdio: ['ignore', 'ignore', 'inherit']})
  }
  const empty = mkdtempSync(join(tmpdir(), 'rkt-bundle-'))
  rkt('version')
  if (entries.some(({id}) => id === 'list')) rkt(`--dir=${empty}`, 'list')
  for (const {id} of entries) rkt('help', ...id.split(' '))
  rmSync(empty, {recursive: true})
}
