#!/bin/bash
# Makes the guest's root one that systemd starts, with one unit of ours (systemd-tests.sh), and becomes systemd.
#   systemd.sh CHECKOUT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for place in /run /tmp /var/tmp /var/log; do mount -t tmpfs tmpfs "$place"; done
: > /etc/machine-id
: > /etc/fstab
# By which systemd would think that it is in a container.
rm -f /.dockerenv
mkdir -p /var/log/journal /etc/systemd/system
# Nothing of the machine's own services, nor what would look through all of its files.
for unit in systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-update-utmp ldconfig systemd-hwdb-update systemd-udev-trigger \
    systemd-udevd systemd-random-seed systemd-sysusers systemd-modules-load systemd-sysctl systemd-journal-catalog-update \
    systemd-update-done apparmor; do
    ln -sf /dev/null "/etc/systemd/system/$unit.service"
done
cat > /etc/systemd/system/guest.target <<'END'
[Unit]
Requires=basic.target guest.service dbus.service systemd-journald.service
After=basic.target dbus.service
AllowIsolate=yes
END
cat > /etc/systemd/system/guest.service <<END
[Unit]
After=basic.target dbus.service
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
Environment=HOME=/root
ExecStart=$1/test/guest/systemd-tests.sh $1
ExecStopPost=/bin/systemctl poweroff --force --no-block
END
exec /lib/systemd/systemd --unit=guest.target --show-status=0
