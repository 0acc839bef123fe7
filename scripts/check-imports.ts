/**
 * Refuses imports against the arrows of docs/architecture.md, past a front door, out of a plugin, and every circle.
 * node scripts/check-imports.ts [DIRECTORY]
 */
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {dirname, join, relative, resolve} from 'node:path'

/** Path of a file relative to the checkout, and what it imports as it is written. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>

/** From the bottom up: a room may import those before it. Rooms of one line do not know each other, but for `also`. */
const layers = [
  ['errors', 'privileges'],
  ['diagnostics', 'native', 'appc', 'config', 'http'],
  ['oci'],
  ['store', 'trust'],
  ['discovery', 'registry', 'treestore'],
  ['image'],
  ['stage1'],
  ['pod'],
  ['engine', 'metadata'],
  ['cli'],
  ['options'],
  ['commands', 'index', 'main'],
]
/** Rooms that know less than their layer lets them. */
const only: Readonly<Record<string, readonly string[]>> = {appc: ['errors'], config: ['errors', 'privileges'], main: ['cli', 'errors']}
/** Files of a room that others may name beside its index.ts. */
const openFiles = new Set(['src/native/contract.ts'])

/** What is wrong with the imports: one line each, empty when all is well. */
export function checkImports(graph: ImportGraph): string[] {
  const problems: string[] = []
  const edges = new Map<string, string[]>()
  for (const [file, imports] of graph) {
    const targets: string[] = []
    for (const specifier of imports) {
      const target = specifier.startsWith('.') ? join(dirname(file), specifier) : undefined
      const problem = file.startsWith('plugins/') ? pluginProblem(file, specifier, target) : coreProblem(file, specifier, target)
      if (problem) problems.push(`${file}: imports ${specifier}: ${problem}`)
      if (target !== undefined) targets.push(target)
    }
    edges.set(file, targets)
  }
  return [...problems, ...circles(edges).map((circle) => `circle: ${circle.join(' -> ')}`)]
}

function pluginProblem(file: string, specifier: string, target: string | undefined): string | undefined {
  const home = file.split('/').slice(0, 2).join('/')
  if (target !== undefined) return target.startsWith(`${home}/`) ? undefined : 'a plugin imports nothing outside of its package'
  return specifier.startsWith('@rkt/') && specifier !== '@rkt/engine' ? 'a plugin imports @rkt/engine, and no other part of rkt' : undefined
}

function coreProblem(file: string, specifier: string, target: string | undefined): string | undefined {
  if (specifier.startsWith('@rkt/')) return 'the core does not import itself as a plugin does'
  if (target === undefined) return undefined
  if (!target.startsWith('src/')) return 'the core imports nothing outside of src/'
  const from = roomOf(file)
  const to = roomOf(target)
  if (from === to) return undefined
  if (layerOf(from) < 0) return `src/${from} is no room of docs/architecture.md`
  if (only[from] && !only[from].includes(to)) return `${from} may know only ${only[from].join(', ')}`
  if (layerOf(to) < 0 || layerOf(to) >= layerOf(from)) return `${from} must not know ${to}`
  // The program joins the parts of the command line, which no command may see.
  const door = from === 'main' || target.split('/').length === 2 || target === `src/${to}/index.ts` || openFiles.has(target)
  return door ? undefined : `enter ${to} through src/${to}/index.ts`
}

const roomOf = (file: string) => (file.split('/')[1] ?? '').replace(/\.ts$/, '')
const layerOf = (room: string) => layers.findIndex((rooms) => rooms.includes(room))

/** Every circle that a walk along the imports meets, each once. */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const start = path.indexOf(file)
    if (start >= 0) {
      found.push([...path.slice(start), file])
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const next of edges.get(file) ?? []) visit(next)
    path.pop()
    done.add(file)
  }
  for (const file of edges.keys()) visit(file)
  return found
}

/** The specifiers of a source text's imports and re-exports, dynamic ones with a literal included. */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const pattern = /^(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm
  return [...code.matchAll(pattern)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '')
}

function readGraph(root: string): ImportGraph {
  const graph = new Map<string, string[]>()
  for (const top of ['src', 'plugins']) {
    if (!existsSync(join(root, top))) continue
    for (const entry of readdirSync(join(root, top), {recursive: true, withFileTypes: true})) {
      const path = join(entry.parentPath, entry.name)
      const skipped = path.includes('/node_modules/') || entry.name.endsWith('.test.ts')
      if (entry.isFile() && entry.name.endsWith('.ts') && !skipped) graph.set(relative(root, path), importsOf(readFileSync(path, 'utf8')))
    }
  }
  return graph
}

if (import.meta.main) {
  const problems = checkImports(readGraph(resolve(process.argv[2] ?? join(import.meta.dirname, '..'))))
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}
