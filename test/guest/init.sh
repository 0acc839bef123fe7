#!/bin/busybox sh
# The first process of the guest, out of the initial RAM file system: the machine's own root, shared read-only, below an overlay.
/bin/busybox mkdir -p /proc /sys /dev /lower /layers /new
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules); do
    /bin/busybox insmod "/lib/$module" || echo "guest: cannot load $module"
done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 machine /lower || exec /bin/busybox sh
/bin/busybox mount -t tmpfs -o mode=755 layers /layers
/bin/busybox mkdir /layers/upper /layers/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/layers/upper,workdir=/layers/work machine /new
# Where modprobe looks for the modules of this kernel.
/bin/busybox mkdir -p /new/lib/modules
/bin/busybox ln -sfn "$(/bin/busybox cat /kernel)" /new/lib/modules/
for name in proc sys dev; do /bin/busybox mount --move "/$name" "/new/$name"; done
# What the kernel was told behind `--`: the program to go on with.
exec /bin/busybox switch_root /new "$@"
