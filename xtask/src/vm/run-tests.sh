#!/bin/sh
# Run by uidmeter-test.service once the machine is up.

# systemd does not wait for what it started last, such as the console's own messages.
echo
filter=$(sed 's/.*uidmeter\.filter=\([^ ]*\).*/\1/' /proc/cmdline)
/tests --test-threads=1 $filter 2>&1
echo "UIDMETER-VM-EXIT $?"
systemctl poweroff --force --force
