import {Flags} from '@rkt/engine'

export const appFlag = {app: Flags.string({default: '', description: 'the name of the app'})}
