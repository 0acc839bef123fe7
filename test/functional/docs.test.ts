/** The examples of the documentation are run as they stand: what a reader types, and what he then sees. */
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {closeSync, existsSync, mkdirSync, openSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, checkout, eventually, runProgram} from './harness/index.ts'

interface Example {
  readonly command: string
  readonly output: string
}

/** Fenced blocks marked `console`: lines after `$ ` are typed (a here-document goes on to its END), the rest is what appears. */
function examplesOf(file: string): Example[] {
  const text = readFileSync(join(checkout, file), 'utf8')
  return [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => {
    const examples: {command: string; output: string}[] = []
    let hereDocument = false
    for (const line of block.trimEnd().split('\n')) {
      const last = examples.at(-1)
      if (line.startsWith('$ ')) examples.push({command: line.slice(2), output: ''})
      else if (hereDocument && last) last.command += `\n${line}`
      else if (last) last.output += `${line}\n`
      if (line.includes("<<'END'")) hereDocument = true
      else if (line === 'END') hereDocument = false
    }
    return examples
  })
}

/** `…` stands for anything, also for nothing or several lines; runs of tabs and blanks are alike. */
function looksLike(expected: string): RegExp {
  const pattern = expected
    .trim()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/[\t ]+/g, '[\\t ]+'))
    .join('[\\s\\S]*?')
  return new RegExp(`^${pattern}\\s*$`)
}

for (const file of ['README.md', 'docs/api-service.md', 'docs/metadata-service.md']) {
  test(`the examples of ${file} do what it says`, async () => {
    await using host = await aHost()
    mkdirSync(host.path('desk'))
    const options = {
      cwd: host.path('desk'),
      env: {
        PATH: ['bin', '.cache/python/bin']
          .map((path) => join(checkout, path))
          .concat(process.env.PATH ?? '')
          .join(':'),
        RKT: checkout,
      },
    }
    const examples = examplesOf(file)
    assert.ok(examples.length > 3, `${examples.length} examples`)

    await using beside = new AsyncDisposableStack()
    for (const {command, output} of examples) {
      if (command.endsWith('&')) {
        const log = openSync(host.path('log'), 'a')
        const child = spawn('bash', ['-c', `exec ${command.slice(0, -1)}`], {
          cwd: options.cwd,
          env: {...process.env, ...options.env},
          stdio: ['ignore', log, log],
        })
        closeSync(log)
        beside.defer(() => void child.kill('SIGKILL'))
        const file = /--uuid-file-save=(\S+)/.exec(command)?.[1]
        if (file !== undefined) await eventually(() => existsSync(host.path('desk', file)), `${command} to write ${file}`)
        continue
      }
      const result = await runProgram(['bash', '-c', command], options)
      assert.equal(result.status, 0, `$ ${command}\n${result.stdout}${result.stderr}`)
      if (output !== '') assert.match(result.stdout, looksLike(output), `$ ${command}\n${result.stdout}${result.stderr}`)
    }
  })
}
