#!/bin/busybox sh
# The first process in a test machine: mounts what a real system has, runs what the kernel's command line asks
# for (uidmeter.mode=suite, =refusal or =limits-cgroupfs), prints the closing line that the host waits for, and powers off.

/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    # One at a time: a controller that this kernel cannot enable must not keep the others off.
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
done
ip link set lo up

# The firmware leaves the console in the middle of a line.
echo

case "$(cat /proc/cmdline)" in
*uidmeter.mode=refusal*)
    /uidmeter run --web.listen-address 127.0.0.1:9101 2>/tmp/stderr
    code=$?
    # The mark tells the daemon's own words from the kernel's, which share the console.
    sed 's/^/UIDMETER-VM-STDERR /' /tmp/stderr
    ;;
*)
    filter=$(sed 's/.*uidmeter\.filter=\([^ ]*\).*/\1/' /proc/cmdline)
    UIDMETER_BIN=/uidmeter UIDMETER_LIMITS_MACHINE=cgroupfs /tests --test-threads=1 $filter 2>&1
    code=$?
    ;;
esac

echo "UIDMETER-VM-EXIT $code"
poweroff -f
