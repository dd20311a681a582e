#!/bin/sh
# boot.sh IMAGE NAME UNITS [NSPAWN-OPTION]...: boot a copy of IMAGE until killed.
#
# Start (machine.go) runs this as process 1 of a new pid namespace, in a mount
# namespace and a cgroup of its own: when it dies, however it dies, the kernel
# takes every process and every mount of the machine with it. Standard input is
# a tar archive that is laid over the image; UNITS (space separated) are enabled.
# Descriptor 3 is a terminal, which becomes the machine's console.
set -eu

image=$1 name=$2 units=$3
shift 3

mount --make-rprivate /
mount -t proc proc /proc
# Only cgroup v2, and of that only our own part: Start runs us by unshare --cgroup.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# systemd-nspawn's locks and sockets in /run and the machine's whole disk: all of
# it is memory that only this namespace sees.
mount -t tmpfs -o mode=755 gonsvm /run
mkdir /run/upper /run/work /run/machine
# As udev makes it: this machine's own may be for root alone.
mknod -m 666 /run/fuse c 10 229
mount -t overlay -o "lowerdir=$image,upperdir=/run/upper,workdir=/run/work" overlay /run/machine
tar --extract --numeric-owner --preserve-permissions --file=- --directory=/run/machine
for unit in $units; do
	systemctl --quiet --root=/run/machine enable "$unit"
done

# As on real hardware: cgroup v2, no filter of system calls, and /tmp as the
# distribution makes it.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_TMPFS_TMP=0
# With --keep-unit it ends with status 133 when the machine reboots.
again=133
while [ $again = 133 ]; do
	again=0
	systemd-nspawn --quiet --boot --directory=/run/machine --machine="$name" --bind=/run/fuse:/dev/fuse \
		--register=no --keep-unit --private-network --console=interactive \
		--resolv-conf=off --timezone=off --link-journal=no "$@" <&3 >&3 || again=$?
done
exit $again
