#!/bin/sh
# Prints a scrape configuration: how hosts are found, and how Prometheus shows who it is.
# Usage: job.sh MECHANISM [AUTH], after the names of the files in discovery/ and auth/. Checked by `rules-configs`.
set -eu

here=$(dirname "$0")

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: job.sh MECHANISM [AUTH]" >&2
    exit 2
fi
for name in "$@"; do
    case $name in
    '' | *[!a-z0-9-]*)
        echo "job.sh: '$name' is not the name of a file here; names have a-z, 0-9 and -" >&2
        exit 2
        ;;
    esac
done
if [ ! -f "$here/discovery/$1.yml" ]; then
    echo "job.sh: there is no discovery/$1.yml" >&2
    exit 2
fi
if [ $# -eq 2 ] && [ ! -f "$here/auth/$2.yml" ]; then
    echo "job.sh: there is no auth/$2.yml" >&2
    exit 2
fi

cat "$here/discovery/$1.yml"
if [ $# -eq 2 ]; then
    grep -v '^#' "$here/auth/$2.yml" | sed 's/^/    /'
fi
