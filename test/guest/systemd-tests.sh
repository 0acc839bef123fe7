#!/bin/bash
# rkt as the documents show it under systemd. A line `ok` or `FAILED` for each claim; the last line is how all of them ended.
#   systemd-tests.sh CHECKOUT
cd "$1" || exit
failed=0
data=/run/rkt-data
rkt=("$1/bin/rkt" "--dir=$data" --insecure-options=image)
# Tries again: everything is slow here.
claim() {
    local what=$1 tries
    shift
    for tries in $(seq 15); do
        if "$@" > /run/claim 2>&1; then
            echo "ok $what"
            return
        fi
        sleep 1
    done
    echo "FAILED $what: $*"
    tail -20 /run/claim
    journalctl --quiet --no-pager --output=cat --lines=15
    failed=1
}
is() { [ "$($1)" = "$2" ]; }
contains() { grep -q -- "$2" <<< "$($1)"; }
lacks() { ! contains "$@"; }
property() { systemctl show --property="$2" --value "$1"; }

echo "guest: systemd $(systemctl --version | head -1), $(stat -f -c %T /sys/fs/cgroup)"
mkdir -p /run/layout/rootfs/bin
cp /bin/busybox "$1/.cache/guest/services" /run/layout/rootfs/bin/
for name in sh sleep echo cat true; do ln -s busybox "/run/layout/rootfs/bin/$name"; done
manifest() {
    cat > /run/layout/manifest <<END
{"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/$1", $2
 "labels": [{"name": "version", "value": "1.0.0"}, {"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}],
 "app": {"exec": ["/bin/sh"], "user": "0", "group": "0"}}
END
    "$rkt_program" image build /run/layout "/run/$1.aci"
}
rkt_program=${rkt[0]}
manifest plain ''
manifest teller '"annotations": [{"name": "appc.io/executor/supports-systemd-notify", "value": "true"}],'

# A plain unit, as `systemd-run rkt run` makes it.
systemd-run --quiet --unit=plain --property=KillMode=mixed --slice=machine.slice "${rkt[@]}" run --net=none \
    --uuid-file-save=/run/plain.uuid /run/plain.aci --exec=/bin/sh -- -c 'echo from the app; sleep 1000'
claim 'systemd-run rkt run: the pod runs' contains "${rkt[*]} status --uuid-file=/run/plain.uuid" '^state=running'
pid=$("${rkt[@]}" status --uuid-file=/run/plain.uuid | sed -n 's/^pid=//p')
claim 'the pod is in the cgroup of its unit' contains "cat /proc/$pid/cgroup" '^0::/machine.slice/plain.service/'
claim 'the main process of the unit is the pod itself' contains "cat /proc/$(property plain.service MainPID)/cmdline" 'run'
claim 'the journal has what the pod shows' contains 'journalctl --unit=plain.service --output=cat' 'plain.*from the app'
claim 'and the lines of the app as entries of its own' is \
    "journalctl RKT_POD=$(cat /run/plain.uuid) --identifier=plain --output=cat" 'from the app'
systemctl stop plain.service
claim 'KillMode=mixed: the unit ends cleanly' is 'property plain.service Result' success
claim 'and the pod has' contains "${rkt[*]} status --uuid-file=/run/plain.uuid" '^state=exited'
claim 'nothing is left of its cgroup' test ! -e /sys/fs/cgroup/machine.slice/plain.service

# Machines of systemd-machined.
machine() { systemd-run --quiet --unit="$1" --property=KillMode=mixed --slice=machine.slice "${rkt[@]}" run --net=default \
    --uuid-file-save="/run/$1.uuid" /run/plain.aci --exec=/bin/sh -- -c 'trap "echo asked to end; exit 0" TERM; while sleep 1; do :; done'; }
machine switched
claim 'a pod runs as a machine' contains "${rkt[*]} status --uuid-file=/run/switched.uuid" '^state=running'
name=rkt-$(cat /run/switched.uuid)
claim 'machinectl lists it' contains 'machinectl list --no-legend' "^$name *container *rkt "
claim 'its leader is pid 1 of the pod' is "machinectl show --property=Leader --value $name" \
    "$("${rkt[@]}" status --uuid-file=/run/switched.uuid | sed -n 's/^pid=//p')"
claim 'its unit is that of rkt' is "machinectl show --property=Unit --value $name" switched.service
claim 'its address is known' contains "machinectl status $name" 'Address: 172\.16\.28\.'
machinectl poweroff "$name"
claim 'machinectl poweroff ends the pod' contains "${rkt[*]} status --uuid-file=/run/switched.uuid" '^state=exited'
claim 'in order: its app was asked to end' contains 'journalctl --unit=switched.service --output=cat' 'asked to end'
claim 'and its unit ends cleanly' is 'property switched.service Result' success
claim 'the machine is gone' lacks 'machinectl list --no-legend' "$name"
machine terminated
claim 'another pod runs as a machine' contains 'machinectl list --no-legend' rkt-
machinectl terminate "rkt-$(cat /run/terminated.uuid)"
claim 'machinectl terminate ends it' contains "${rkt[*]} status --uuid-file=/run/terminated.uuid" '^state=exited'
printf '%s\n' '#!/bin/sh' "${rkt[*]} run --net=none --uuid-file-save=/run/twice.uuid /run/plain.aci --exec=/bin/true" 'sleep 1000' > /run/twice
chmod 755 /run/twice
systemd-run --quiet --unit=twice --property=KillMode=mixed /run/twice
claim 'a service outlives its pod' contains "${rkt[*]} status --uuid-file=/run/twice.uuid" '^state=exited'
claim 'and then has no machine' lacks 'machinectl list --no-legend' rkt-
systemctl stop twice.service

# Readiness.
systemd-run --quiet --no-block --unit=telling --property=Type=notify --property=KillMode=mixed "${rkt[@]}" run --net=none \
    --uuid-file-save=/run/telling.uuid /run/teller.aci --exec=/bin/sh -- -c \
    'until [ -e /dev/shm/go ]; do sleep 0.2; done; /bin/services ready'
claim 'Type=notify: the pod runs' contains "${rkt[*]} status --uuid-file=/run/telling.uuid" '^state=running'
claim 'and the unit is still starting' is 'property telling.service ActiveState' activating
claim 'a command can be entered' "${rkt[@]}" enter "$(cat /run/telling.uuid)" /bin/busybox touch /dev/shm/go
claim 'the unit is active once the app has said so' is 'property telling.service ActiveState' active
claim 'and shows what the app says of itself' contains 'property telling.service StatusText' 'teller: serving'
systemctl stop telling.service

# Limits of the unit and of the app.
systemd-run --quiet --unit=limited --property=MemoryMax=512M --property=Delegate=yes "${rkt[@]}" run --net=none \
    --uuid-file-save=/run/limited.uuid /run/plain.aci --memory=64Mi --cpu=500m --exec=/bin/sleep -- 1000
claim 'a pod with limits runs' contains "${rkt[*]} status --uuid-file=/run/limited.uuid" '^state=running'
claim 'the limit of the unit holds for the pod' is 'cat /sys/fs/cgroup/system.slice/limited.service/memory.max' 536870912
claim 'the limit of the app is below it' contains \
    'find /sys/fs/cgroup/system.slice/limited.service -path *plain.service/memory.max -exec cat {} +' '^67108864$'
claim 'so is its share of the processor' contains \
    'find /sys/fs/cgroup/system.slice/limited.service -path *plain.service/cpu.max -exec cat {} +' '^50000 100000$'
systemctl stop limited.service

# An ordinary user, whose unit is delegated.
echo 'guest:x:1500:1500::/run/guest:/bin/sh' >> /etc/passwd
echo 'guest:x:1500:' >> /etc/group
echo 'guest:*:20000:0:99999:7:::' >> /etc/shadow
for file in /etc/subuid /etc/subgid; do echo 'guest:100000:65536' >> "$file"; done
mkdir -m 755 /run/guest && chown guest:guest /run/guest
systemd-run --quiet --unit=ordinary --uid=guest --property=Delegate=yes --property=MemoryMax=512M --setenv=HOME=/run/guest \
    "$rkt_program" --insecure-options=image run --net=none --uuid-file-save=/run/guest/uuid /run/plain.aci --memory=64Mi --cpu=500m \
    --exec=/bin/sh -- -c 'id -u; sleep 1000'
as_guest() { setpriv --reuid=guest --regid=guest --clear-groups env HOME=/run/guest "$rkt_program" "$@"; }
claim 'a pod of an ordinary user runs' contains "as_guest status --uuid-file=/run/guest/uuid" '^state=running'
ordinary=/sys/fs/cgroup/system.slice/ordinary.service
claim 'its memory is limited' contains "find $ordinary -path *plain.service/memory.max -exec cat {} +" '^67108864$'
claim 'and its share of the processor' contains "find $ordinary -path *plain.service/cpu.max -exec cat {} +" '^50000 100000$'
systemctl stop ordinary.service
claim 'its unit ends cleanly' is 'property ordinary.service Result' success
systemd-run --quiet --unit=undelegated --uid=guest --setenv=HOME=/run/guest --pipe --wait \
    "$rkt_program" --insecure-options=image run --net=none /run/plain.aci --memory=64Mi --exec=/bin/true > /run/undelegated 2>&1
claim 'without delegation rkt says that the limit has no effect' contains 'cat /run/undelegated' 'cgroups are not delegated to this user'

# The same user in a session of its own manager.
loginctl enable-linger guest
as_guest_in_session() { setpriv --reuid=guest --regid=guest --clear-groups env HOME=/run/guest XDG_RUNTIME_DIR=/run/user/1500 "$@"; }
claim 'a user has a manager' as_guest_in_session systemctl --user show --property=Version
as_guest_in_session systemd-run --user --quiet --unit=own --property=Delegate=yes "$rkt_program" --insecure-options=image \
    run --net=none --uuid-file-save=/run/guest/own /run/plain.aci --memory=64Mi --exec=/bin/sleep -- 1000
claim 'a pod runs in a service of that user' contains 'as_guest status --uuid-file=/run/guest/own' '^state=running'
claim 'its memory is limited' contains \
    'find /sys/fs/cgroup/user.slice/user-1500.slice -path *plain.service/memory.max -exec cat {} +' '^67108864$'
as_guest_in_session systemctl --user stop own.service
claim 'and it ends with the service' contains 'as_guest status --uuid-file=/run/guest/own' '^state=exited'

# The units of examples/systemd.
mkdir -p /var/lib/rkt && mount -t tmpfs -o mode=2755,gid=990 rkt /var/lib/rkt
echo 'rkt:x:990:' >> /etc/group
ln -sf "$rkt_program" /usr/bin/rkt
cp examples/systemd/* /etc/systemd/system/
systemctl daemon-reload
systemctl start rkt-metadata.socket rkt-api-tcp.socket
systemd-run --quiet --unit=asking /usr/bin/rkt --insecure-options=image run --mds-register --uuid-file-save=/run/asking.uuid \
    /run/plain.aci --exec=/bin/sleep -- 1000
claim 'a pod registers with the metadata service, which its socket starts' \
    contains '/usr/bin/rkt status --uuid-file=/run/asking.uuid' '^state=running'
asked() { /usr/bin/rkt enter "$(cat /run/asking.uuid)" /bin/sh -c '/bin/busybox wget -qO- $AC_METADATA_URL/acMetadata/v1/pod/uuid'; }
claim 'and is told who it is' is asked "$(cat /run/asking.uuid)"
cat > /run/list-pods <<'END'
import grpc
channel = grpc.insecure_channel("127.0.0.1:15441")
print(channel.unary_unary("/v1alpha.PublicAPI/ListPods")(b"", timeout=30))
END
claim 'the API service, which its socket starts for a user of its own, knows the pod' \
    contains '.cache/python/bin/python /run/list-pods' "$(cat /run/asking.uuid)"
systemctl stop asking.service

# Its end.
systemd-run --quiet --unit=status --wait "${rkt[@]}" run --net=none /run/plain.aci --exec=/bin/sh -- -c 'exit 7'
status=$?
claim 'the status of the pod is that of the unit' test "$status" = 7

echo "guest: status $failed"
