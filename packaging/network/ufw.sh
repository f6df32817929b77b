#!/bin/sh
# On a host with ufw: port 9101 answers the Prometheus servers that are named, and nobody else. May be run again.
# Usage: ufw.sh ADDRESS... ; ufw must be enabled. Covered by the check guide-firewall.
set -eu

[ $# -ge 1 ] || { echo "usage: ufw.sh ADDRESS-OF-PROMETHEUS..." >&2; exit 2; }
for address in "$@"; do
    case $address in '' | *[!0-9a-fA-F.:/]*) echo "ufw.sh: \"$address\" is no address" >&2; exit 2 ;; esac
done
# The first rule that fits counts: an older one that opens the port to everybody would win.
ufw --force delete allow 9101 >/dev/null
ufw --force delete allow 9101/tcp >/dev/null
# To the end, so that those who are let in stand before it.
ufw --force delete deny 9101/tcp >/dev/null
for address in "$@"; do
    ufw allow proto tcp from "$address" to any port 9101 comment 'uidmeter: Prometheus'
done
ufw deny 9101/tcp comment 'uidmeter: nobody else'
