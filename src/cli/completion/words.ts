/**
 * What stands behind a command, for completion: `<pods[:STATES]>`, `<images>`, `<files>`, `<directories>`, `<commands>` or plain words;
 * the first cell is the first word, the last cell all further ones.
 */
export const words: Readonly<Record<string, string>> = {
  attach: '<pods:running>',
  'cat-manifest': '<pods>',
  completion: 'bash',
  enter: '<pods:running> <none>',
  export: '<pods:exited> <files>',
  fetch: '<files>',
  help: '<commands>',
  'image build': '<directories> <files>',
  'image cat-manifest': '<images>',
  'image export': '<images> <files>',
  'image extract': '<images> <directories>',
  'image render': '<images> <directories>',
  'image rm': '<images>',
  'image verify': '<images>',
  'plugins link': '<directories>',
  prepare: '<images+files>',
  rm: '<pods:prepare|exited>',
  run: '<images+files>',
  'run-prepared': '<pods:prepared>',
  status: '<pods>',
  stop: '<pods:running>',
}
