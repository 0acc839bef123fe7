/**
 * npm test: every test there is, in three parts, then one summary. All of it runs in namespaces of its own
 * (test/functional/harness/enter.mjs), so that nothing that a test leaves survives it.
 *
 *   npm test                       all of it
 *   npm test -- --part=unit        only one part: rust, unit or functional (may be repeated)
 *   npm test -- FILE...            only these test files
 *   npm test -- --name=PATTERN     only tests whose title matches
 *   npm test -- --long             the long forms too: more pods, bigger images
 *   npm test -- --bail             stop after the first part that fails
 */
import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {globSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {checkout} from './steps.ts'

const parts = ['rust', 'unit', 'functional'] as const
type Part = (typeof parts)[number]

interface Count {
  readonly failed: number
  readonly passed: number
  readonly skipped: number
}

const {positionals, values} = parseArgs({
  allowPositionals: true,
  options: {
    bail: {default: false, type: 'boolean'},
    long: {default: false, type: 'boolean'},
    name: {type: 'string'},
    part: {multiple: true, type: 'string'},
  },
})
const env = {...process.env, ...(values.long ? {RKT_TEST_LONG: '1'} : {})}
let running: ChildProcess | undefined
process.on('SIGTERM', () => {
  running?.kill('SIGTERM')
  process.exitCode = 143
})
const enter = [process.execPath, join(checkout, 'test/functional/harness/enter.mjs')]

const wanted =
  positionals.length > 0 ? parts.filter((part) => part !== 'rust') : parts.filter((part) => values.part?.includes(part) ?? true)
const counts = new Map<Part, Count>()
for (const part of wanted) {
  const count = await (part === 'rust' ? rustTests() : nodeTests(part))
  if (count) counts.set(part, count)
  if (values.bail && count && count.failed > 0) break
}
summarize()

/** Builds with the network at hand, then runs inside. A crate that does not compile counts as one failure. */
async function rustTests(): Promise<Count> {
  heading('rust')
  const built = await output(['cargo', 'test', '--workspace', '--quiet', '--no-run'])
  if (built.status !== 0) return {failed: 1, passed: 0, skipped: 0}
  const {status, text} = await output([...enter, 'cargo', 'test', '--workspace', '--offline', '--no-fail-fast'])
  const sum = (pattern: RegExp): number => [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0)
  const failed = sum(/test result: .*?(\d+) failed/g)
  return {
    failed: failed === 0 && status !== 0 ? 1 : failed,
    passed: sum(/test result: .*?(\d+) passed/g),
    skipped: sum(/test result: .*?(\d+) ignored/g),
  }
}

/** Files with the same claim on the machine run together: functional tests in `alone/` one after the other, the others side by side. */
async function nodeTests(part: 'functional' | 'unit'): Promise<Count | undefined> {
  const isFunctional = (file: string): boolean => /^test\/(?:conformance|functional)\//.test(file)
  const everything = globSync(['src/**/*.test.ts', 'plugins/*/{src,test}/**/*.test.ts', 'scripts/**/*.test.ts', 'test/**/*.test.ts'], {
    cwd: checkout,
  })
  const chosen = positionals.map((file) => file.replace(`${checkout}/`, '').replace(/^\.\//, ''))
  const files = everything.filter(
    (file) => isFunctional(file) === (part === 'functional') && (chosen.length === 0 || chosen.some((word) => file.includes(word))),
  )
  if (files.length === 0) return undefined
  heading(part)
  const alone = files.filter((file) => file.includes('/alone/'))
  const together = files.filter((file) => !alone.includes(file))
  const counted = [await nodeTest(together.sort(), 2), await nodeTest(alone.sort(), 1)]
  const sum = (key: keyof Count): number => counted.reduce((total, count) => total + count[key], 0)
  return {failed: sum('failed'), passed: sum('passed'), skipped: sum('skipped')}
}

async function nodeTest(files: readonly string[], concurrency: number): Promise<Count> {
  if (files.length === 0) return {failed: 0, passed: 0, skipped: 0}
  const directory = mkdtempSync(join(checkout, '.cache/count-'))
  const report = join(directory, 'count.json')
  const options = [
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${300_000 * Number(process.env.RKT_TEST_PATIENCE ?? 1)}`,
    '--test-force-exit',
    `--import=${join(checkout, 'scripts/blocking-stdout.mjs')}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(checkout, 'scripts/count-reporter.mjs')}`,
    `--test-reporter-destination=${report}`,
    ...(values.name === undefined ? [] : [`--test-name-pattern=${values.name}`]),
  ]
  const {status} = await output([...enter, process.execPath, ...process.execArgv, ...options, ...files])
  try {
    const {failed, files: whole, passed, skipped} = JSON.parse(readFileSync(report, 'utf8'))
    const cut = values.name === undefined ? files.filter((file) => !whole.includes(join(checkout, file))) : []
    if (cut.length > 0) console.log(`✖ reports of these files are not whole: ${cut.join(', ')}`)
    return {failed: (failed === 0 && status !== 0 ? 1 : failed) + cut.length, passed, skipped}
  } catch {
    return {failed: 1, passed: 0, skipped: 0} // the runner itself did not come to its end
  } finally {
    rmSync(directory, {force: true, recursive: true})
  }
}

/** Runs a command, its output shown and kept. */
async function output([program = '', ...args]: readonly string[]): Promise<{status: number; text: string}> {
  const child = spawn(program, args, {cwd: checkout, env, stdio: ['ignore', 'pipe', 'inherit']})
  running = child
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    process.stdout.write(piece)
  })
  const [status] = await once(child, 'close')
  return {status: status ?? 1, text}
}

function heading(part: Part): void {
  console.log(`\n=== ${part} tests\n`)
}

function summarize(): void {
  const total = {failed: 0, passed: 0, skipped: 0}
  console.log('\n=== summary\n')
  for (const [part, {failed, passed, skipped}] of counts) {
    console.log(`${part.padEnd(12)} ${passed} passed, ${failed} failed, ${skipped} skipped`)
    total.failed += failed
    total.passed += passed
    total.skipped += skipped
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1
}
