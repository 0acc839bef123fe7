#!/bin/bash
# Pid 1 of the guest without systemd: a pure cgroup version 2, then tests of rkt. Says at last how they ended, and switches the guest off.
#   version-2.sh CHECKOUT COMMAND...
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As systemd passes them down; the harness makes its own cgroup below.
echo "+cpu +io +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
# Whose nodes in /dev tests look for.
modprobe --all loop tun
mkdir -p /dev/pts /dev/shm
mount -t securityfs securityfs /sys/kernel/security
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
for place in /dev/shm /run /tmp; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up
cd "$1" || exit
shift
# Booted with SELinux: Debian's policy, as machine.ts has made it. The kernel takes it in one piece.
if mount -t selinuxfs selinuxfs /sys/fs/selinux 2> /dev/null; then
    cp -a .cache/guest/selinux /etc/
    # Debian's file names types of a module that Debian does not have: those of virtual machines in their place.
    sed 's/container_t/svirt_t/; s/container_file_t/svirt_image_t/' \
        .cache/guest/selinux/default/contexts/lxc_contexts > /etc/selinux/default/contexts/lxc_contexts
    dd if=/etc/selinux/default/policy/policy.33 of=/sys/fs/selinux/load bs=64M iflag=fullblock status=none
fi
# Not as pid 1: whose children the tests look at.
setsid bash -c '"$@"; echo "guest: status $?"' bash "$@" 2>&1
sync
echo o > /proc/sysrq-trigger
sleep 60
