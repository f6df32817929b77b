#!/bin/sh
# Writes alertmanager.yml: alertmanager.yml.in with its words between @ filled in from a file of lines NAME=VALUE. Refuses unknown,
# double and missing names and values that YAML could misread; the output has mode 0600 and appears whole or not at all.
# Usage: fill.sh VALUES OUTPUT. Checked by `alerts-fill`.
set -eu
umask 077

if [ $# -ne 2 ]; then
    echo "usage: fill.sh VALUES OUTPUT" >&2
    exit 2
fi
values=$1
output=$2
template=$(dirname "$0")/alertmanager.yml.in
if [ ! -r "$values" ]; then
    echo "fill.sh: $values cannot be read" >&2
    exit 1
fi

unfinished=$(mktemp "$output.XXXXXX")
trap 'rm -f "$unfinished"' EXIT
trap 'exit 1' HUP INT TERM

# The first file is data and never run: a value such as $(reboot) stays what it is, and is refused.
LC_ALL=C awk '
    function fail(text) { print "fill.sh: " text > "/dev/stderr"; failed = 1; exit 1 }
    FNR == 1 { file++ }
    file == 1 {
        if ($0 ~ /^[ \t]*(#.*)?$/) next
        at = index($0, "=")
        name = substr($0, 1, at - 1)
        value = substr($0, at + 1)
        if (at < 2 || name !~ /^[A-Z][A-Z_]*$/) fail("line " FNR " of the values is not NAME=VALUE")
        if (name in given) fail(name " is given twice")
        if (value !~ /^[A-Za-z0-9#\/:.,@ _+~%?=&-]+$/) fail(name " is empty, or has a character that is not allowed")
        given[name] = value
        next
    }
    {
        rest = $0
        line = ""
        while (match(rest, /@[A-Z][A-Z_]*@/)) {
            name = substr(rest, RSTART + 1, RLENGTH - 2)
            if (!(name in given)) fail(name " is missing from the values")
            used[name] = 1
            line = line substr(rest, 1, RSTART - 1) given[name]
            rest = substr(rest, RSTART + RLENGTH)
        }
        print line rest
    }
    END {
        if (failed) exit 1
        if (file < 2) fail("the values are empty")
        for (name in given) if (!(name in used)) fail(name " is not in the template")
    }
' "$values" "$template" >"$unfinished"

mv -f "$unfinished" "$output"
