/** Which networks a pod is attached to, and how plugins of other people are called for it. */
import assert from 'node:assert/strict'
import {existsSync, readdirSync, readFileSync, readlinkSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addDebianPlugins, addNetwork, addScript, aHost, busybox, calls, type Host, oldResult} from './harness/index.ts'

const shell = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script]

/** The directory of the only pod of a host. */
function podOf(host: Host): string {
  const [uuid = ''] = host.podsIn('run')
  return join(host.dataDir, 'pods/run', uuid)
}

/** A network of one script that answers an address. */
function addScriptNetwork(host: Host, name: string, script: string, conf: object = {}): void {
  addNetwork(host, `${name}.conf`, {name, type: `${name}-plugin`, ...conf})
  addScript(host, `${name}-plugin`, script)
}

test('--net=none is a namespace of its own with a loopback interface that is up and nothing else', async () => {
  await using host = await aHost()

  const {status, stderr, stdout} = await host.rkt([
    'run',
    '--net=none,default',
    await busybox(),
    ...shell('readlink /proc/self/ns/net; ip -o link; ping -c1 127.0.0.1'),
  ])

  assert.equal(status, 0, stderr)
  assert.ok(!stdout.includes(readlinkSync('/proc/self/ns/net')))
  assert.match(stdout, /: 1: lo: <LOOPBACK,UP/)
  assert.doesNotMatch(stdout, /: 2: /)
  assert.match(stderr, /^networking: networking namespace with loopback only$/m)
  const pod = podOf(host)
  assert.equal(readFileSync(join(pod, 'net-info.json'), 'utf8'), 'null\n')
  const netns = readFileSync(join(pod, 'netns'), 'utf8')
  assert.match(netns, /^\/var\/run\/netns\/cni-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
  assert.ok(!existsSync(netns), 'the name of the namespace outlived the pod')
})

test('the namespace of a running pod has a name on the host', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])

  const netns = readFileSync(join(pod.dir, 'netns'), 'utf8')
  const {ino} = await import('node:fs').then((fs) => fs.statSync(netns))
  assert.equal(readlinkSync(`/proc/${await pod.initPid()}/ns/net`), `net:[${ino}]`)

  await pod.stop('--force')
  await host.ok(['gc', '--grace-period=0s'])
  assert.ok(!existsSync(netns), 'gc left the name of the namespace')
})

test('a plugin is called as the contract says, and detached when the pod ends', async () => {
  await using host = await aHost()
  const text = '{ "name":"mine",\n  "type":"mine-plugin" }'
  const out = host.path('seen')
  addNetwork(host, '10-mine.conf', text)
  addScript(
    host,
    'mine-plugin',
    `[ $CNI_COMMAND = DEL ] || { env | grep ^CNI_ | sort; pwd -P; printf '%s' "$conf"; } > ${out}; echo '${oldResult('10.9.0.2/16')}'`,
  )

  const {status, stderr} = await host.rkt(['run', '--net=mine:A=1;B=2', await busybox(), '--exec=/bin/true'])

  assert.equal(status, 0, stderr)
  const pod = podOf(host)
  const [uuid = ''] = host.podsIn('run')
  const netns = readFileSync(join(pod, 'netns'), 'utf8')
  const directories = `${host.localConfig}/net.d:/usr/lib/rkt/plugins/net:stage1/rootfs/usr/lib/rkt/plugins/net`
  const words = [
    'CNI_ARGS=A=1;B=2',
    'CNI_COMMAND=ADD',
    `CNI_CONTAINERID=${uuid}`,
    'CNI_IFNAME=eth0',
    `CNI_NETNS=${netns}`,
    `CNI_PATH=${directories}`,
    'CNI_VERSION=0.1.0',
  ]
  assert.equal(readFileSync(out, 'utf8'), [...words, pod, text].join('\n'))
  assert.deepEqual(calls(host), ['mine-plugin ADD eth0', 'mine-plugin DEL eth0'])
  const info = {
    netName: 'mine',
    netConf: 'net/10-mine.conf',
    pluginPath: `${host.localConfig}/net.d/mine-plugin`,
    ifName: 'eth0',
    ip: '10.9.0.2',
    args: 'A=1;B=2',
    mask: '255.255.0.0',
  }
  assert.equal(readFileSync(join(pod, 'net-info.json'), 'utf8'), `${JSON.stringify([info])}\n`)
  assert.match(await host.ok(['list', '--no-legend']), /\texited\t.*\tmine:ip4=10\.9\.0\.2$/m)
  assert.match(await host.ok(['status', uuid]), /^networks=mine:ip4=10\.9\.0\.2$/m)

  // Once more, by gc: what a pod that was killed could not do.
  const collected = await host.rkt(['gc', '--debug', '--grace-period=0s'])
  assert.match(collected.stderr, /networking: teardown - executing net-plugin mine-plugin\n$/)
  assert.deepEqual(calls(host), ['mine-plugin DEL eth0'])
})

test('networks are attached in the order of their files, each with its interface, and shown while the pod runs', async () => {
  await using host = await aHost()
  addScriptNetwork(host, 'b', `echo '${oldResult('10.2.0.2/24')}'`)
  addScriptNetwork(host, 'a', `echo '${oldResult('10.1.0.2/24')}'`)
  addScriptNetwork(host, 'unused', 'exit 1')
  const pod = await host.pod(['--debug', '--net=b,a:X=1', await busybox(), '--exec=/bin/sleep', '--', '1000'])

  assert.deepEqual(calls(host), ['a-plugin ADD eth0', 'b-plugin ADD eth1'])
  assert.equal((await pod.status()).networks, 'a:ip4=10.1.0.2, b:ip4=10.2.0.2')
  const [{networks}] = JSON.parse(await host.ok(['list', '--format=json']))
  assert.deepEqual(
    networks.map(({args, ifName, ip, netName}: Record<string, string>) => [netName, ifName, ip, args]),
    [
      ['a', 'eth0', '10.1.0.2', 'X=1'],
      ['b', 'eth1', '10.2.0.2', ''],
    ],
  )
  assert.match(pod.process.stderr, new RegExp(`^networking: loading networks from ${host.localConfig}/net\\.d$`, 'm'))
  assert.match(pod.process.stderr, /^networking: loading network a with type a-plugin$/m)
  await pod.stop()
  assert.deepEqual(calls(host), ['b-plugin DEL eth1', 'a-plugin DEL eth0'])
})

test("the administrator's network of a builtin's name is used instead, and that is said", async () => {
  await using host = await aHost()
  addNetwork(host, '10-mine.conf', {name: 'default', type: 'mine'})
  addScript(host, 'mine', `echo '${oldResult('10.7.0.2/24')}'`)

  const {stderr} = await host.rkt(['run', await busybox(), '--exec=/bin/true'])

  assert.match(stderr, new RegExp(`^networking: overriding "default" network with one from ${host.localConfig}/net\\.d$`, 'm'))
  assert.match(await host.ok(['list', '--no-legend']), /default:ip4=10\.7\.0\.2$/m)
})

test('a list is called as a chain: each plugin with the result before, all with the last one at the end', async () => {
  await using host = await aHost()
  const result = {cniVersion: '1.1.0', ips: [{address: '10.5.0.2/24', gateway: '10.5.0.1'}]}
  const note = `echo "$CNI_COMMAND $conf" >> ${host.path('confs')}`
  addNetwork(host, 'chain.conflist', {
    cniVersion: '1.1.0',
    name: 'chain',
    plugins: [
      {type: 'first', extra: 1},
      {type: 'second', capabilities: {portMappings: true}},
    ],
  })
  addScript(host, 'first', `${note}; [ $CNI_COMMAND != ADD ] || echo '${JSON.stringify(result)}'`)
  addScript(host, 'second', `${note}; [ $CNI_COMMAND != ADD ] || echo '${JSON.stringify({...result, dns: {domain: 'second'}})}'`)

  assert.equal((await host.rkt(['run', '--net=chain', await busybox(), '--exec=/bin/true'])).status, 0)

  const chain = ['first STATUS ', 'second STATUS ', 'first ADD eth0', 'second ADD eth0', 'first CHECK eth0', 'second CHECK eth0']
  assert.deepEqual(calls(host), [...chain, 'second DEL eth0', 'first DEL eth0'])
  const confs = readFileSync(host.path('confs'), 'utf8').trim().split('\n')
  const of = (verb: string) => confs.filter((line) => line.startsWith(`${verb} `)).map((line) => JSON.parse(line.slice(verb.length + 1)))
  const [first, second] = of('ADD')
  assert.deepEqual(first, {cniVersion: '1.1.0', extra: 1, name: 'chain', type: 'first'})
  assert.deepEqual(second.prevResult.ips, result.ips)
  assert.equal(second.runtimeConfig, undefined)
  for (const conf of [...of('CHECK'), ...of('DEL')]) assert.equal(conf.prevResult.dns.domain, 'second')
  assert.equal(statSync('/run/rkt/networks/chain').mode & 0o7777, 0o700, 'who can open it can lock it')

  await host.ok(['gc', '--grace-period=0s'])
  assert.deepEqual(calls(host), ['second DEL eth0', 'first DEL eth0', 'first GC ', 'second GC'])
  assert.deepEqual(
    JSON.parse(readFileSync(host.path('confs'), 'utf8').trim().split('\n').at(-1)?.slice(3) ?? '')['cni.dev/valid-attachments'],
    [],
  )
})

test('the newest version that all plugins speak is used where the configuration leaves the choice', async () => {
  await using host = await aHost()
  addNetwork(host, 'choice.conflist', {cniVersions: ['0.3.1', '1.0.0', '1.1.0'], name: 'choice', plugins: [{type: 'older'}]})
  addScript(
    host,
    'older',
    `case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.3.1","1.0.0"]}';;
ADD) echo "$conf" > ${host.path('conf')}; echo '{"cniVersion":"1.0.0"}';;
esac`,
  )

  assert.equal((await host.rkt(['run', '--net=choice', await busybox(), '--exec=/bin/true'])).status, 0)

  assert.equal(JSON.parse(readFileSync(host.path('conf'), 'utf8')).cniVersion, '1.0.0')
})

const failures: readonly [title: string, script: string, message: RegExp][] = [
  [
    'fails',
    `echo '{"code":11,"msg":"no luck","details":"today"}'; exit 1`,
    /error adding network "bad": plugin "bad-plugin" failed at ADD: no luck; today$/m,
  ],
  ['fails without a word', 'exit 7', /network "bad": plugin "bad-plugin" failed at ADD: netplugin failed .* message "": exit status: 7$/m],
  ['prints garbage', 'echo garbage', /network "bad": plugin "bad-plugin" failed at ADD: error parsing "bad" result: expected value/],
  ['prints half a result', `printf '{"ip4": {"ip": "10.0'`, /plugin "bad-plugin" failed at ADD: error parsing "bad" result: EOF/],
  ['prints no address as one', `echo '{"ip4":{"ip":"hello"}}'`, /failed at ADD: error parsing "bad" result: invalid CIDR address: hello$/m],
  ['hangs', 'sleep 1000', /network "bad": plugin "bad-plugin" failed at ADD: it did not end within 1 seconds and was killed$/m],
]

for (const [title, script, message] of failures) {
  test(`a plugin that ${title}: the networks before are undone and no app starts`, async () => {
    await using host = await aHost()
    addScriptNetwork(host, 'a', `echo '${oldResult('10.1.0.2/24')}'`)
    addScriptNetwork(host, 'bad', `[ $CNI_COMMAND != ADD ] || { ${script}; }`)
    addScriptNetwork(host, 'later', `echo '${oldResult('10.3.0.2/24')}'`)
    const marker = host.path('volume/started')
    host.write('volume/.keep', '')

    const stderr = await host.refused(
      [
        'run',
        '--net=a,bad,later',
        `--volume=v,kind=host,source=${host.path('volume')}`,
        await busybox(),
        '--mount=volume=v,target=/v',
        ...shell('touch /v/started'),
      ],
      {env: {RKT_CNI_TIMEOUT: '1'}},
    )

    assert.match(stderr, /stage1: failed to setup network: /)
    assert.match(stderr, message)
    assert.deepEqual(calls(host), ['a-plugin ADD eth0', 'bad-plugin ADD eth1', 'bad-plugin DEL eth1', 'a-plugin DEL eth0'])
    assert.ok(!existsSync(marker))
    const netns = readFileSync(join(podOf(host), 'netns'), 'utf8')
    assert.ok(!existsSync(netns))
    assert.ok(!existsSync(join(podOf(host), 'net-info.json')))
    // Collecting what never was says nothing.
    const {status, stderr: said} = await host.rkt(['gc', '--grace-period=0s'])
    assert.equal(status, 0)
    assert.match(said, /^gc: moving pod "[^"]+" to garbage\n$/)
  })
}

const refusals: readonly [title: string, file: string, conf: object | string, net: string, message: RegExp][] = [
  ['an unknown network', 'x.conf', {name: 'x', type: 'ptp'}, 'foo,bar', /^stage1: failed to setup network: networks not found: bar, foo$/m],
  ['an unknown plugin', 'x.conf', {name: 'x', type: 'nosuch'}, 'x', /network "x": Could not find plugin "nosuch"$/m],
  [
    'a conf that is no JSON',
    'x.conf',
    '{',
    'x',
    /error loading network definitions: error loading \S+\/local\/net\.d\/x\.conf: not JSON: /,
  ],
  ['a conf without a name', 'x.conf', {type: 'ptp'}, 'x', /error loading \S+\/x\.conf: it has no "name"$/m],
  [
    'a type that is a path',
    'x.conf',
    {name: 'x', type: '../../../bin/true'},
    'x',
    /"\.\.\/\.\.\/\.\.\/bin\/true" cannot be the type of a plugin$/m,
  ],
  [
    'a version of the future',
    'x.conflist',
    {cniVersion: '2.0.0', name: 'x', plugins: [{type: 'ptp'}]},
    'x',
    /cniVersion 2\.0\.0 is not spoken here/,
  ],
  ['a list of nothing', 'x.conflist', {name: 'x', plugins: []}, 'x', /x\.conflist: no plugins in the list$/m],
]

for (const [title, file, conf, net, message] of refusals) {
  test(`refused: ${title}`, async () => {
    await using host = await aHost()
    addNetwork(host, file, conf)

    assert.match(await host.refused(['run', `--net=${net}`, await busybox(), '--exec=/bin/true']), message)
  })
}

test('two files of one name: the first counts and the second is named', async () => {
  await using host = await aHost()
  addNetwork(host, '10-a.conf', {name: 'a', type: 'a'})
  addNetwork(host, '20-b.conf', {name: 'a', type: 'nosuch'})
  addScript(host, 'a', `echo '${oldResult('10.1.0.2/24')}'`)

  const {status, stderr} = await host.rkt(['run', '--net=a', await busybox(), '--exec=/bin/true'])

  assert.equal(status, 0, stderr)
  assert.match(stderr, /^networking: "a" network already defined, ignoring 20-b\.conf$/m)
})

test('names are resolved as the first network with an answer says; --dns goes before it', async () => {
  await using host = await aHost()
  const dns = {domain: 'd.example', nameservers: ['10.0.0.53'], options: ['ndots:2'], search: ['s.example']}
  addScriptNetwork(host, 'a', `echo '${oldResult('10.1.0.2/24', dns)}'`)
  addScriptNetwork(host, 'b', `echo '${oldResult('10.2.0.2/24', {nameservers: ['10.0.0.54']})}'`)
  const image = await busybox()
  const resolv = async (...options: string[]) => {
    const {stdout, stderr} = await host.rkt(['run', '--net=a,b', ...options, image, ...shell('cat /etc/resolv.conf || echo none')])
    return {stderr, text: stdout.replace(/^.*?\]: /gm, '')}
  }

  const {stderr, text} = await resolv()
  assert.equal(text, '# Generated by rkt from network a\n\nsearch s.example\nnameserver 10.0.0.53\noptions ndots:2\ndomain d.example\n')
  assert.match(stderr, /Warning: network b plugin specified DNS configuration, but DNS already supplied$/m)
  assert.equal((await resolv('--dns=8.8.8.8')).text, '# Generated by rkt run\n\nnameserver 8.8.8.8\n')
  assert.match((await resolv('--dns=none')).text, /none\n$/)
})

test("Debian's plugins run in our networks", async (context) => {
  if (!existsSync('/usr/lib/cni/ptp')) return context.skip('containernetworking-plugins is not installed')
  await using host = await aHost()
  addDebianPlugins(host, ...readdirSync('/usr/lib/cni'))
  const subnet = {ipam: {type: 'host-local', ranges: [[{subnet: '10.77.0.0/24'}]], routes: [{dst: '0.0.0.0/0'}]}}
  addNetwork(host, 'deb.conflist', {
    cniVersion: '1.0.0',
    name: 'deb',
    plugins: [
      {type: 'bridge', bridge: `deb${process.pid}`.slice(0, 12), isGateway: true, ...subnet},
      {type: 'tuning', sysctl: {'net.core.somaxconn': '321'}},
    ],
  })

  const script = 'ip -o -4 address show eth0; ping -c1 10.77.0.1; cat /proc/sys/net/core/somaxconn'
  const {status, stderr, stdout} = await host.rkt(['run', '--net=deb', await busybox(), ...shell(script)])

  assert.equal(status, 0, stderr + stdout)
  assert.match(stdout, /inet 10\.77\.0\.\d+\/24/)
  assert.match(stdout, /1 packets received/)
  assert.match(stdout, /: 321$/m)
  assert.deepEqual(
    readdirSync('/var/lib/cni/networks/deb').filter((name) => /^\d/.test(name)),
    [],
  )
})

test('without --net a pod has the default network, and can be told its address', async () => {
  await using host = await aHost()
  const image = await busybox()

  const pod = await host.pod([image, '--exec=/bin/sleep', '--', '1000'])

  assert.match((await pod.status()).networks ?? '', /^default:ip4=172\.16\.28\.\d+$/)
  const address = await pod.enter('/bin/ip', '-o', '-4', 'address', 'show', 'eth0')
  assert.match(address, new RegExp(`inet ${(await pod.status()).networks?.replace('default:ip4=', '')}/24 `))
  const routes = await pod.enter('/bin/ip', 'route')
  assert.match(routes, /^default via 172\.16\.28\.1 dev eth0/m)
  await pod.stop()

  const own = await host.rkt(['run', '--net=default:IP=172.16.28.123', image, ...shell('ip -o -4 address show eth0')])
  assert.match(own.stdout, /inet 172\.16\.28\.123\/24 /)
})

test('default-restricted reaches the host and nothing behind it', async () => {
  await using host = await aHost()

  const {status, stderr, stdout} = await host.rkt([
    'run',
    '--net=default-restricted:IP=172.31.42.42',
    await busybox(),
    ...shell('ip -o -4 address show eth0; ip route; ping -c1 172.31.0.1'),
  ])

  assert.equal(status, 0, stderr)
  assert.match(stdout, /inet 172\.31\.42\.42\/16 /)
  assert.doesNotMatch(stdout, /default via/)
  assert.match(stdout, /1 packets received/)
})

test('an address that another pod has is refused, and is free when that pod has ended', async () => {
  await using host = await aHost()
  const image = await busybox()
  const words = ['--net=default:IP=172.16.28.77', image]
  const pod = await host.pod([...words, '--exec=/bin/sleep', '--', '1000'])

  assert.match(
    await host.refused(['run', ...words, '--exec=/bin/true']),
    /failed to setup network: error adding network "default": plugin "ptp" failed at ADD: requested IP address "?172\.16\.28\.77"? is not available in network: default/,
  )

  await pod.stop()
  await host.ok(['run', ...words, '--exec=/bin/true'])
})

test('a network without a free address is refused, and has one again when a pod has ended', async () => {
  await using host = await aHost()
  const image = await busybox()
  const network = (name: string, subnet: string) => ({cniVersion: '0.4.0', ipam: {subnet, type: 'host-local'}, name, type: 'ptp'})
  addNetwork(host, '10-roomy.conf', network('roomy', '10.94.0.0/24'))
  addNetwork(host, '20-small.conf', network('small', '10.93.0.0/30'))
  const pod = await host.pod(['--net=small', image, '--exec=/bin/sleep', '--', '1000'])

  assert.match(
    await host.refused(['run', '--net=roomy,small', image, '--exec=/bin/true']),
    /failed to setup network: error adding network "small": plugin "ptp" failed at ADD: no IP addresses available in network: small/,
  )

  const held = readdirSync('/var/lib/cni/networks/roomy').filter((name) => name.startsWith('10.'))
  assert.deepEqual(held, [], 'the network before it is undone')
  await pod.stop()
  await host.ok(['run', '--net=small', image, '--exec=/bin/true'])
})

test('the address of a pod that was killed is found again by the next pod that needs it', async () => {
  await using host = await aHost()
  const image = await busybox()
  const words = ['--net=default:IP=172.16.28.78', image]
  const pod = await host.pod([...words, '--exec=/bin/sleep', '--', '1000'])
  pod.process.kill('SIGKILL')
  await pod.process.exit
  assert.ok(existsSync('/var/lib/cni/networks/default/172.16.28.78'), 'nobody could have given it back yet')

  await host.ok(['run', ...words, '--exec=/bin/true'])

  assert.ok(!existsSync('/var/lib/cni/networks/default/172.16.28.78'))
})

test('a pod with user ids of its own owns its network, and learns what the network says', async () => {
  await using host = await aHost()
  const image = await busybox()
  addScriptNetwork(host, 'dns', `echo '${oldResult('10.1.0.2/24', {nameservers: ['10.0.0.53']})}'`)

  const {status, stderr, stdout} = await host.rkt([
    'run',
    '--private-users',
    '--net=default,dns',
    image,
    ...shell('ping -c1 172.16.28.1; (nc -l -p 80 & sleep 0.1; netstat -ltn | grep :80); cat /etc/resolv.conf; cat /proc/self/uid_map'),
  ])

  assert.equal(status, 0, stderr + stdout)
  assert.match(stdout, /1 packets received/)
  assert.match(stdout, /:80 .*LISTEN/)
  assert.match(stdout, /# Generated by rkt from network dns/)
  assert.match(stdout, /: +0 +[1-9]\d+ +65536$/m)
})
