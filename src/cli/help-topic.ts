/** What `rkt help WORDS` prints. */

import {locate} from './argv/locate.ts'
import {catalog} from './catalog.ts'
import {helpOf} from './dispatch.ts'
import {groupHelp, rootHelp} from './help.ts'

export async function helpText(words: readonly string[]): Promise<string> {
  const located = locate(
    words,
    catalog.entries.map(({id}) => id),
    catalog.switches,
  )
  if (located.kind === 'command') return await helpOf(catalog, located.id)
  if (located.kind === 'group') return groupHelp(catalog, located.id)
  const topics = words.map((word) => `\`${word}\``).join(' ')
  return located.kind === 'none' ? rootHelp(catalog) : `Unknown help topic [${topics}].\n${rootHelp(catalog)}`
}
