#!/bin/bash
# Pid 1 of the guest without systemd: a pure cgroup version 2, then tests of rkt. Says at last how they ended, and switches the guest off.
#   version-2.sh CHECKOUT COMMAND...
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As systemd passes them down; the harness makes its own cgroup below.
echo "+cpu +io +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p /dev/pts /dev/shm
mount -t securityfs securityfs /sys/kernel/security
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
for place in /dev/shm /run /tmp; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up
cd "$1" || exit
shift
# Not as pid 1: whose children the tests look at.
setsid bash -c '"$@"; echo "guest: status $?"' bash "$@" 2>&1
sync
echo o > /proc/sysrq-trigger
sleep 60
