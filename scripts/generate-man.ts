/** Writes man/: one page for rkt and one for each command, made from the declarations that the help is made from. */
import {mkdirSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import '../src/cli/engine-hooks.ts'
import type {Catalog, CommandClass} from '../src/cli/catalog-entry.ts'
import {discoverCatalog} from '../src/cli/catalog-source.ts'
import type {FlagInput} from '../src/cli/flags.ts'
import {globalFlags, helpFlag} from '../src/cli/globals.ts'
import {optionLabel, usageLines, visibleFlags} from '../src/cli/help.ts'

const root = resolve(import.meta.dirname, '..')

/** File names and contents of all pages. */
export async function manPages(catalog: Catalog, version: string): Promise<Map<string, string>> {
  const visible = catalog.entries.filter(({hidden}) => !hidden)
  const pages = new Map([['rkt.1', rootPage(visible, version)]])
  for (const {id, load, summary} of visible) {
    const {default: command} = await load()
    pages.set(`${pageName(id)}.1`, commandPage(id, command, summary, version))
  }
  return pages
}

const pageName = (id: string) => ['rkt', ...id.split(' ')].join('-')

function rootPage(commands: readonly {readonly id: string; readonly summary: string}[], version: string): string {
  return page('rkt', version, [
    ['NAME', ['rkt \\- the application container runner']],
    ['SYNOPSIS', ['.B rkt', escaped('[OPTIONS] COMMAND [ARGUMENTS]')]],
    ['DESCRIPTION', ['rkt runs pods of apps from images, without a daemon. Commands may be cut short as long as they stay unambiguous.']],
    ['COMMANDS', commands.flatMap(({id, summary}) => ['.TP', `.BR ${pageName(id).replaceAll('-', '\\-')} (1)`, escaped(summary)])],
    ['OPTIONS', optionLines({...globalFlags, help: helpFlag})],
    ['EXIT STATUS', [...terms(exitStatus), '.PP', 'Commands that run apps end with the status of the pod.']],
    ['FILES', terms(files)],
    ['ENVIRONMENT', terms(variables)],
  ])
}

type Terms = readonly (readonly [term: string, text: string])[]

const exitStatus: Terms = [
  ['0', 'Success.'],
  ['1', 'A file with a UUID could not be read by "status" or "stop"; "app sandbox", "app list" or "app status" failed.'],
  ['2', 'No command was given.'],
  ['254', 'rkt failed, or was misused.'],
]

const files: Terms = [
  ['/var/lib/rkt', 'Images and pods; of an ordinary user ~/.local/share/rkt.'],
  ['/etc/rkt', 'What the administrator configures: auth.d, paths.d, stage1.d, net.d, trustedkeys; of an ordinary user ~/.config/rkt.'],
  ['/usr/lib/rkt', 'The same of the vendor.'],
  ['/run/rkt/metadata-svc.sock', 'Where pods are registered with the metadata service.'],
]

const variables: Terms = [
  ['HTTP_PROXY, HTTPS_PROXY, NO_PROXY', 'Proxies of all transfers.'],
  ['SSL_CERT_FILE, SSL_CERT_DIR, NODE_EXTRA_CA_CERTS', "Certificate authorities in place of the system's, or beside them."],
  ['REGISTRY_AUTH_FILE, DOCKER_CONFIG', 'Where the credentials of other programs for registries lie.'],
  ['RKT_CNI_TIMEOUT', 'How long a call of a network plugin may take.'],
  ['LISTEN_FDS, NOTIFY_SOCKET', 'Sockets for the apps, and where readiness is told, as systemd hands them over.'],
  ['XDG_DATA_HOME, XDG_CONFIG_HOME, XDG_RUNTIME_DIR', "An ordinary user's directories."],
]

const terms = (list: Terms): string[] => list.flatMap(([term, text]) => ['.TP', escaped(term), escaped(text)])

function commandPage(id: string, command: CommandClass, summary: string, version: string): string {
  return page(pageName(id), version, [
    ['NAME', [`${pageName(id).replaceAll('-', '\\-')} \\- ${escaped(summary)}`]],
    ['SYNOPSIS', usageLines(id, command).flatMap((usage, index) => [...(index > 0 ? ['.br'] : []), escaped(usage)])],
    ['DESCRIPTION', command.description === undefined ? [] : ['.nf', ...command.description.split('\n').map(escaped), '.fi']],
    ['OPTIONS', optionLines({...command.flags, help: helpFlag})],
    ['GLOBAL OPTIONS', optionLines(globalFlags)],
    ['SEE ALSO', ['.BR rkt (1)']],
  ])
}

function optionLines(flags: FlagInput): string[] {
  return visibleFlags(flags).flatMap(([name, flag]) => [
    '.TP',
    `.B ${flag.char ? `\\-${flag.char}, ` : ''}${escaped(optionLabel(name, flag))}`,
    escaped(name === 'help' ? 'Print the help and exit.' : flag.description),
  ])
}

function page(name: string, version: string, sections: readonly (readonly [string, readonly string[]])[]): string {
  const content = sections.filter(([, lines]) => lines.length > 0).flatMap(([title, lines]) => [`.SH ${title}`, ...lines])
  return `${[`.TH "${name.toUpperCase()}" "1" "" "rkt ${version}" "rkt manual"`, ...content].join('\n')}\n`
}

/** Text as roff shows it: no line is a request, dashes are ASCII dashes. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&')
}

if (import.meta.main) {
  const directory = join(root, 'man')
  const {packageVersion} = await import('../src/cli/index.ts')
  mkdirSync(directory, {recursive: true})
  for (const name of readdirSync(directory)) rmSync(join(directory, name))
  for (const [name, text] of await manPages(await discoverCatalog(root), packageVersion())) writeFileSync(join(directory, name), text)
}
