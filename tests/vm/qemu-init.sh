#!/bin/busybox sh
# Process 1 of the initrd that qemu.sh makes: mounts /dev/vda, lays the archive on /dev/vdb over it at the first boot,
# and starts the machine's own init. With gons.probe on the kernel's command line, it says that it was reached.
# shellcheck shell=sh
/bin/busybox --install /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
if grep -q gons.probe /proc/cmdline; then
	echo gons.probe: reached
	poweroff -f
fi
sh /load 2>/dev/null # a processor may lack what a module is for
mount -t ext4 /dev/vda /new || exec sh
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys

# units takes the units from the kernel's command line: gons.units=A,B
units() {
	for unit in $(sed -n 's/.*gons\.units=\([^ ]*\).*/\1/p' /new/proc/cmdline | tr , ' '); do
		chroot /new systemctl --quiet enable "$unit"
	done
}

# label sets what SELinux will want, while no policy is loaded yet; files that are new, and links to units.
label() {
	[ -d /new/sys/fs/selinux ] || return 0
	{
		tar -tf /new/dev/vdb | sed 's|^/*|/|'
		echo /etc/systemd/system
	} | chroot /new setfiles -F /etc/selinux/default/contexts/files/file_contexts -f -
}

if [ ! -e /new/etc/laid ] && [ -b /new/dev/vdb ]; then
	tar -xf /new/dev/vdb -C /new
	units
	label
	touch /new/etc/laid
fi
exec switch_root /new /lib/systemd/systemd
