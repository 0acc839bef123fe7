/** docs/flavors.md: what each flavor gives, as the conformance images found it. */
import {join} from 'node:path'
import {checkout} from '../functional/harness/index.ts'
import type {Verdicts} from './check.ts'
import {rows} from './rows.ts'

export const documentPath = join(checkout, 'docs/flavors.md')

/** The flavors that rkt ships, and the options that choose them. */
export const shippedFlavors: Readonly<Record<string, readonly string[]>> = {
  fly: ['--stage1-name=coreos.com/rkt/stage1-fly:2.0.0'],
  native: [],
}

/** The table, one column a flavor; `native` first. */
export function table(found: Readonly<Record<string, Verdicts>>): string {
  const flavors = Object.keys(found).sort((one, other) => Number(other === 'native') - Number(one === 'native') || one.localeCompare(other))
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  const body = rows.map(({claim, id}) => line([id, claim, ...flavors.map((name) => (found[name]?.get(id) === undefined ? 'yes' : 'no'))]))
  return [line(['row', 'what an app finds', ...flavors]), line(['---', '---', ...flavors.map(() => '---')]), ...body].join('')
}

const [begin, end] = ['<!-- table -->\n', '<!-- end of table -->\n']

/** The document with this table in the place of the one that it has. */
export function withTable(document: string, text: string): string {
  const [before = '', rest = ''] = document.split(begin)
  const [, after = ''] = rest.split(end)
  return `${before}${begin}\n${text}\n${end}${after}`
}
