/** The program: argv to one command. */

import {catalog} from './cli/catalog.ts'
import {dispatch} from './cli/dispatch.ts'

process.exit(await dispatch(process.argv.slice(2), catalog))
