/** What people type who come from another engine or from an older rkt, and what rkt has instead. */

import type {FlagInput} from '../flags.ts'

export const commandsElsewhere: ReadonlyMap<string, readonly string[]> = new Map([
  ['build', ['image build']],
  ['create', ['prepare']],
  ['exec', ['enter']],
  ['images', ['image list']],
  ['inspect', ['status', 'cat-manifest', 'image cat-manifest']],
  ['kill', ['stop']],
  ['load', ['fetch']],
  ['prune', ['gc', 'image gc']],
  ['ps', ['list']],
  ['pull', ['fetch']],
  ['rmi', ['image rm']],
  ['save', ['image export']],
  ['start', ['run-prepared']],
  ['wait', ['status']],
])

/** Names of options, the option of the command that stands for them, and what to do. */
const optionsElsewhere: readonly (readonly [names: readonly string[], instead: string, hint: string])[] = [
  [['cap-add'], 'caps-retain', 'Use --caps-retain=CAP_NAME,… behind the image: what it lists is all that the app has.'],
  [['cap-drop'], 'caps-remove', 'Use --caps-remove=CAP_NAME,… behind the image.'],
  [['d', 'detach'], 'uuid-file-save', 'There is no daemon: put it into the background of the shell, or use "systemd-run rkt run …".'],
  [['e', 'env'], 'environment', 'Use --environment=NAME=VALUE behind the image, or --set-env=NAME=VALUE for all.'],
  [['entrypoint'], 'exec', 'Use --exec=PROGRAM behind the image, and "--" before its arguments.'],
  [['i', 't', 'tty'], 'interactive', 'Use --interactive.'],
  [['insecure-skip-verify'], 'pull-policy', 'Use --insecure-options=image.'],
  [['label'], 'user-label', 'Use --user-label=NAME=VALUE behind the image.'],
  [['m'], 'memory', 'Use --memory=QUANTITY behind the image.'],
  [['network'], 'net', 'Use --net=NAME.'],
  [['p', 'publish'], 'port', 'Use --port=NAME:HOSTPORT with the name of a port of the image.'],
  [['private-net'], 'net', 'A pod has a network of its own; --net=NAME says which.'],
  [['pull'], 'pull-policy', 'Use --pull-policy=new|never|update.'],
  [['rm'], 'uuid-file-save', 'Run "rkt gc" to remove what has exited.'],
  [['u'], 'user', 'Use --user=USER behind the image.'],
  [['v'], 'volume', 'Use --volume=NAME,kind=host,source=PATH with --mount=volume=NAME,target=PATH.'],
  [['w', 'workdir'], 'working-dir', 'Use --working-dir=PATH behind the image.'],
]

/** What to do instead of an option that the command has not, where it has another for the same. */
export const optionInstead = (name: string, flags: FlagInput): string | undefined =>
  optionsElsewhere.find(([names, instead]) => names.includes(name) && Object.hasOwn(flags, instead))?.[2]
