/**
 * The built-in commands, read from their declarations. The bundle contains a generated module in place of this one, so that looking a
 * command up loads no other.
 */

import {discoverCatalog} from './catalog-source.ts'
import {packageRoot} from './package-root.ts'

export const catalog = await discoverCatalog(packageRoot())
