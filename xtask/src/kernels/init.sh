#!/bin/busybox sh
# The first process of a guest: loads modules, puts a layer in memory over the host's root, and hands over to the tests.
# What it says goes to the second serial port; the first is the kernel's console.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/ttyS1 2>&1

die() {
    echo "guest: $*"
    poweroff -f
}

echo "guest: up after $(cut -d ' ' -f 1 /proc/uptime) s"
grep -q balancer.probe /proc/cmdline && poweroff -f

while read -r module; do
    insmod "/modules/$module" || die "cannot load the module $module"
done < /order

mkdir -p /host /layer /root
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose host /host || die "cannot mount the host's root"
mount -t tmpfs -o size=75% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work root /root || die "cannot mount the layer"
cd /root
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t tmpfs run run
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tracefs tracing sys/kernel/tracing
ip link set lo up
cp /tests /bin/busybox run/
exec switch_root /root /bin/sh /run/tests
