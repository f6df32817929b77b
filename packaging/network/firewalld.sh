#!/bin/sh
# On a host with firewalld: port 9101 answers the Prometheus servers that are named, and nobody else. May be run again.
# Usage: firewalld.sh ZONE ADDRESS... ; the zone of the interface, such as public. Covered by the check guide-firewall.
# `--add-port=9101/tcp`, which many guides show, opens the port to every source; this takes it back if it is there.
set -eu

[ $# -ge 2 ] || { echo "usage: firewalld.sh ZONE ADDRESS-OF-PROMETHEUS..." >&2; exit 2; }
zone=$1
shift
case $zone in '' | -* | *[!A-Za-z0-9_-]*) echo "firewalld.sh: \"$zone\" is no zone" >&2; exit 2 ;; esac
for address in "$@"; do
    case $address in '' | *[!0-9a-fA-F.:/]*) echo "firewalld.sh: \"$address\" is no address" >&2; exit 2 ;; esac
done

# Both write the same files; the one asks the service, the other is for a host whose firewalld does not run yet.
if firewall-cmd --state >/dev/null 2>&1; then
    configure() { firewall-cmd --permanent --zone="$zone" "$@"; }
    running=yes
else
    configure() { firewall-offline-cmd --zone="$zone" "$@"; }
    running=no
fi
if configure --query-port=9101/tcp >/dev/null 2>&1; then
    configure --remove-port=9101/tcp
fi
for address in "$@"; do
    case $address in
    *:*) family=ipv6 ;;
    *) family=ipv4 ;;
    esac
    rule="rule family=\"$family\" source address=\"$address\" port port=\"9101\" protocol=\"tcp\" accept"
    configure --query-rich-rule="$rule" >/dev/null 2>&1 || configure --add-rich-rule="$rule"
done
if [ "$running" = yes ]; then
    firewall-cmd --reload
fi
