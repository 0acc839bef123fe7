/** Terminals as users have them: sizes, job control, the way out, and whose terminal it is. */
import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {test} from 'node:test'
import {aHost, aSandbox, busybox, eventually, familyOf, type Host, noTerminals, rktProgram, Terminal} from './harness/index.ts'

const skip = (await noTerminals()) ?? false

async function interactive(host: Host, ...command: string[]): Promise<Terminal> {
  const [exec = '', ...args] = command
  return await Terminal.open([
    rktProgram,
    ...host.globals,
    'run',
    '--net=none',
    '--interactive',
    await busybox(),
    `--exec=${exec}`,
    '--',
    ...args,
  ])
}

/** A shell with job control, as a user has it, in which `rkt` stands for the program with the options of the host. */
async function userShell(host: Host): Promise<Terminal> {
  const shell = await Terminal.open(['bash', '--norc', '--noprofile', '-i'], {PS1: '> ', TERM: 'dumb'})
  shell.type(`rkt() { ${rktProgram} ${host.globals.join(' ')} "$@"; }; echo defi''ned\r`)
  await shell.shows(/\ndefined\r/)
  return shell
}

/** The state of a process: `S` sleeps, `T` is stopped. */
function stateOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.[0]
}

test("the pod's terminal has the size of the caller's, from the start and when it changes", {skip}, async () => {
  await using host = await aHost()
  await using terminal = await interactive(host, '/bin/sh', '-c', 'trap "stty size" WINCH; stty size; while :; do sleep 0.1; done')
  await terminal.shows(/24 80\r\n/)

  terminal.resize(132, 50)

  await terminal.shows(/50 132\r\n/)
  terminal.type('\x1d\x1d\x1d')
  assert.equal(await terminal.exit, 1, 'three times ^] end a pod')
})

test('a shell in a pod has job control: ^Z stops a program, fg continues it, ^C interrupts it', {skip}, async () => {
  await using host = await aHost()
  await using terminal = await interactive(host, '/bin/sh')
  await terminal.shows(/# /)
  terminal.type('PS1="> "; (echo run""ning; exec sleep 1000)\r')
  await terminal.shows(/\nrunning\r/)

  terminal.type('\x1a')
  await terminal.shows(/> /)
  terminal.type('jobs\r')
  await terminal.shows(/\[1\]\+? .*Stopped/)
  terminal.type('fg\r')
  await terminal.shows(/\n.*sleep 1000/)
  terminal.type('\x03')
  await terminal.shows(/> /)
  terminal.type('echo "after $?"\r')
  await terminal.shows(/\nafter \d+\r/)
  terminal.type('exit 5\r')

  assert.equal(await terminal.exit, 5)
})

test('a command in an app that was added has a terminal: its size, job control, and the status at the end', {skip}, async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const {uuid} = await aSandbox(host, '--net=none')
  await host.ok(['app', 'add', uuid, image, '--name=one', '--exec=/bin/sleep', '--', '1000'])
  await host.ok(['app', 'start', uuid, '--app=one'])
  await using terminal = await Terminal.open([rktProgram, ...host.globals, 'app', 'exec', '--app=one', uuid, '/bin/sh'])
  await terminal.shows(/# /)

  terminal.type('PS1="> "; tty; stty size; echo "in $AC_APP_NAME"\r')
  await terminal.shows(/\n\/dev\/pts\/\d+\r\n24 80\r\nin one\r/)
  terminal.resize(132, 50)
  await eventually(async () => {
    terminal.type('stty size\r')
    return (await terminal.shows(/\n(\d+ \d+)\r/))[1] === '50 132'
  }, 'the new size')
  terminal.type('(echo run""ning; exec sleep 1000)\r')
  await terminal.shows(/\nrunning\r/)
  terminal.type('\x03')
  await terminal.shows(/> /)
  terminal.type('exit 7\r')

  assert.equal(await terminal.exit, 7)
  assert.match(await host.ok(['app', 'list', '--no-legend', uuid]), /^one\t+running\n$/)
  await host.ok(['stop', uuid])
})

test("what is entered has a terminal of the pod's, and its size", {skip}, async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])
  await using shell = await userShell(host)

  shell.type(`rkt enter ${pod.uuid} /bin/sh -c 'tty; stty size; echo "$TERM"'\r`)

  await shell.shows(/\n\/dev\/pts\/\d+\r\n24 80\r\n/)
  await pod.stop()
})

test('enter stops with its command and by SIGTSTP, gives the terminal back meanwhile, and fg continues both', {skip}, async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])
  await using shell = await userShell(host)
  shell.type(`rkt enter ${pod.uuid} /bin/sh -c 'kill -STOP $$; echo con""tinued; sleep 2000; echo st""atus $?'\r`)
  await shell.shows(/Stopped/)

  shell.type('stty -a | grep -o " .\\?icanon"\r')
  await shell.shows(/\n icanon\r/)
  shell.type('fg\r')
  await shell.shows(/\ncontinued\r/)

  const entered = familyOf(shell.pid).find(({command}) => command.includes('--appname='))
  assert.ok(entered, JSON.stringify(familyOf(shell.pid)))
  const inside = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .find((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8') === 'sleep\0' + '2000\0'
      } catch {
        return false
      }
    })
  assert.ok(inside)
  process.kill(entered.pid, 'SIGTSTP')
  await shell.shows(/Stopped/)
  await eventually(() => stateOf(Number(inside)) === 'T', 'the command to stop')
  shell.type('stty -a | grep -o " .\\?icanon"\r')
  await shell.shows(/\n icanon\r/)
  shell.type('fg\r')
  await eventually(() => stateOf(Number(inside)) !== 'T', 'the command to continue')
  process.kill(Number(inside), 'SIGKILL')
  await shell.shows(/\nstatus 137\r/)
  await pod.stop()
})

test('a pod whose caller is stopped goes on, and its terminal is shown again afterwards', {skip}, async () => {
  await using host = await aHost()
  await using shell = await userShell(host)
  const image = await busybox()
  shell.type(
    `rkt run --net=none --interactive ${image} --exec=/bin/sh -- -c 'echo st""arted; sleep 1.5; echo en""ded; read line; exit 6'\r`,
  )
  await shell.shows(/\nstarted\r/)
  const outer = familyOf(shell.pid).find(({command}) => command.includes('/stage1/rootfs/run') || command.includes('--interactive'))
  assert.ok(outer)

  process.kill(outer.pid, 'SIGTSTP')
  await shell.shows(/Stopped/)
  shell.type('stty -a | grep -o " .\\?icanon"\r')
  await shell.shows(/\n icanon\r/)
  await new Promise((resolve) => setTimeout(resolve, 2000))
  shell.type('fg\r')
  await shell.shows(/\nended\r/)
  shell.type('x\r')
  await shell.shows(/\n> /)
  shell.type('echo "status $?"\r')

  await shell.shows(/\nstatus 6\r/)
})
