/**
 * Module resolution for plugins: `@rkt/engine` and `@oclif/core` mean the copies that are running, so that there is one engine and one
 * plugin contract, whatever a plugin's own node_modules hold. Importing this module registers the hooks; `--import` it for unbuilt runs.
 */

import {registerHooks} from 'node:module'

const unbuilt = import.meta.url.endsWith('.ts')
const engine = new URL(unbuilt ? '../index.ts' : './index.js', import.meta.url).href

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === '@rkt/engine') return {shortCircuit: true, url: engine}
    if (specifier === '@oclif/core' || specifier.startsWith('@oclif/core/')) {
      return nextResolve(specifier, {...context, parentURL: import.meta.url})
    }
    return nextResolve(specifier, context)
  },
})
