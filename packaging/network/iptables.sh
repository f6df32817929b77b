#!/bin/sh
# On a host with iptables: port 9101 answers the Prometheus servers that are named, and nobody else. May be run again.
# Usage: iptables.sh ADDRESS... ; keep the result with iptables-save. Covered by the check guide-firewall.
set -eu

[ $# -ge 1 ] || { echo "usage: iptables.sh ADDRESS-OF-PROMETHEUS..." >&2; exit 2; }
for address in "$@"; do
    case $address in '' | *[!0-9a-fA-F.:/]*) echo "iptables.sh: \"$address\" is no address" >&2; exit 2 ;; esac
done

# The chain is made and filled in one transaction; only then do packets go through it.
fill() {
    echo "*filter"
    echo ":UIDMETER - [0:0]"
    echo "-A UIDMETER -i lo -j ACCEPT"
    family=$1
    shift
    for address in "$@"; do
        case $family:$address in
        4:*:* | 6:*.*) ;;
        4:* | 6:*:*) echo "-A UIDMETER -s $address -j ACCEPT" ;;
        esac
    done
    echo "-A UIDMETER -j DROP"
    echo "COMMIT"
}

fill 4 "$@" | iptables-restore --noflush
iptables -C INPUT -p tcp --dport 9101 -j UIDMETER 2>/dev/null || iptables -I INPUT -p tcp --dport 9101 -j UIDMETER
fill 6 "$@" | ip6tables-restore --noflush
ip6tables -C INPUT -p tcp --dport 9101 -j UIDMETER 2>/dev/null || ip6tables -I INPUT -p tcp --dport 9101 -j UIDMETER
