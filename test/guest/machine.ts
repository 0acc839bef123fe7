/**
 * A virtual machine under QEMU's own emulation, with Debian's kernel; its root is that of this machine, read-only below an overlay, so
 * that it has every program that is here, and changes nothing.
 */
import {spawn, spawnSync} from 'node:child_process'
import {chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'
import {checkout} from '../functional/harness/index.ts'

const home = join(checkout, '.cache/guest')
const here = join(checkout, 'test/guest')

/** What the initial RAM file system needs to reach the root; the kernel asks modprobe for any other. */
const modules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay', 'virtio-rng']

function output([program = '', ...args]: readonly string[], options: {readonly cwd?: string} = {}): string {
  const {error, status, stderr, stdout} = spawnSync(program, args, {encoding: 'utf8', maxBuffer: 1 << 26, ...options})
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

/** Debian's current kernel, unpacked and not installed: its directory and its version. */
function fetchKernel(): {directory: string; version: string} {
  const depends = output(['apt-cache', 'depends', 'linux-image-amd64'])
  const [, name = '', version = ''] = /Depends: (linux-image-(\S+))/.exec(depends) ?? []
  if (version === '') throw new Error('apt-cache knows no linux-image-amd64')
  const directory = join(home, name)
  if (!existsSync(directory)) {
    mkdirSync(home, {recursive: true})
    output(['apt-get', 'download', name], {cwd: home})
    const [archive = ''] = readdirSync(home).filter((file) => file.startsWith(`${name}_`))
    output(['dpkg-deb', '-x', join(home, archive), `${directory}.part`])
    output(['depmod', '-b', `${directory}.part`, version])
    output(['mv', `${directory}.part`, directory])
    rmSync(join(home, archive))
  }
  return {directory, version}
}

/** Debian's policy for SELinux: installed, and so compiled, in a layer over this machine's root, which stays as it is. */
export function fetchPolicy(): void {
  const directory = join(home, 'selinux')
  if (existsSync(directory)) return
  const script = `mount -t tmpfs selinux /mnt && cd /mnt && mkdir upper work root
    mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work selinux root
    for place in proc dev; do mount --rbind /$place root/$place; done
    chroot root apt-get -qq install --yes --no-install-recommends selinux-policy-default >&2
    cp -a upper/etc/selinux "$1.part" && mv "$1.part" "$1"`
  rmSync(`${directory}.part`, {force: true, recursive: true})
  output(['unshare', '--mount', 'sh', '-ec', script, 'sh', directory])
}

function makeInitialFileSystem(directory: string, version: string): string {
  const ram = join(home, 'ram')
  rmSync(ram, {force: true, recursive: true})
  for (const name of ['bin', 'lib']) mkdirSync(join(ram, name), {recursive: true})
  copyFileSync('/bin/busybox', join(ram, 'bin/busybox'))
  copyFileSync(join(here, 'init.sh'), join(ram, 'init'))
  chmodSync(join(ram, 'init'), 0o755)
  const files = new Set<string>()
  for (const name of modules) {
    for (const line of output(['modprobe', '-d', directory, '-S', version, '--show-depends', name]).split('\n')) {
      const [, file] = /^insmod (\S+)/.exec(line) ?? []
      if (file !== undefined) files.add(file)
    }
  }
  for (const file of files) copyFileSync(file, join(ram, 'lib', basename(file)))
  writeFileSync(join(ram, 'modules'), [...files].map((file) => `${basename(file)}\n`).join(''))
  writeFileSync(join(ram, 'kernel'), join(directory, 'lib/modules', version))
  output(['sh', '-c', 'find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > ../initrd'], {cwd: ram})
  return join(home, 'initrd')
}

/** Boots the guest with this program as its first, shows what it prints, and answers the number of its line `guest: status N`. */
export async function boot(
  program: readonly string[],
  {minutes, parameters = ''}: {minutes: number; parameters?: string},
): Promise<number> {
  const {directory, version} = fetchKernel()
  const initrd = makeInitialFileSystem(directory, version)
  const machine = ['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '4G']
  const quiet = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', '-net', 'none']
  const share = ['-fsdev', 'local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap']
  const devices = ['-device', 'virtio-9p-pci,fsdev=machine,mount_tag=machine', '-device', 'virtio-rng-pci']
  const kernel = ['-kernel', join(directory, `boot/vmlinuz-${version}`), '-initrd', initrd]
  const command = `console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on ${parameters} -- ${program.join(' ')}`
  const qemu = ['qemu-system-x86_64', ...machine, ...quiet, ...share, ...devices, ...kernel, '-append', command]
  const guest = spawn('nice', ['-n', '10', ...qemu], {stdio: ['ignore', 'pipe', 'inherit']})
  const timer = setTimeout(() => guest.kill('SIGKILL'), minutes * 60_000)
  let text = ''
  guest.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    process.stdout.write(piece)
  })
  await new Promise((resolve) => guest.on('close', resolve))
  clearTimeout(timer)
  const [, status] = /guest: status (\d+)/.exec(text) ?? []
  return status === undefined ? 1 : Number(status)
}
