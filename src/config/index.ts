/**
 * Configuration: the `rktKind` files of the system, local and user directories, and the checks that `--insecure-options` switch
 * off. Rests on errors.ts. Knows nothing of images, pods or the command line, and reads nothing that it was not told of.
 */
export {
  INSECURE_OPTION_WORDS,
  type InsecureOptions,
  parseInsecureOptions,
  SECURE,
} from './insecure-options.ts'
export {type ConfigDirectories, loadConfig} from './load.ts'
export {fileOf, sayOrigins} from './origins.ts'
export {configReport} from './report.ts'
export type {Auth, AwsCredentials, BasicCredentials, Config, OauthCredentials, Paths, Stage1} from './types.ts'
