#!/bin/sh
# mmdebstrap's customize hook: finish the tree $1 and write it as the file system $ROOT_IMAGE of $ROOT_MIB MiB.
# $GUEST_FILES is the tree of our own files.
set -eu
tree=$1
cp -R "$GUEST_FILES/." "$tree/"
chroot "$tree" systemctl enable systemd-networkd serial-getty@ttyS0 >/dev/null 2>&1 || true
chroot "$tree" systemctl mask apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_reap \
  systemd-networkd-wait-online >/dev/null 2>&1 || true
rm -f "$tree"/etc/ssh/ssh_host_* "$tree/var/lib/dbus/machine-id"
: > "$tree/etc/machine-id"
echo debian > "$tree/etc/hostname"
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/*.log
# A plain bind mount hides /proc, /sys and /dev, which mmdebstrap keeps mounted in the tree, from mke2fs.
bound=$(mktemp -d)
mount --bind "$tree" "$bound"
trap 'umount "$bound"; rmdir "$bound"' EXIT
mke2fs -q -F -t ext4 -m 1 -L cloudroot -d "$bound" "$ROOT_IMAGE" "${ROOT_MIB}M"
