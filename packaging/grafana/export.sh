#!/bin/sh
# Saves every dashboard of a Grafana into a folder, one file each, for dashboards that were made in the browser. Those of this kit need
# it not: they lie in git. Needs curl and jq. Checked by boards-export.
#
#   GRAFANA_URL=https://grafana.example.com GRAFANA_TOKEN_FILE=/root/grafana.token ./export.sh /var/backups/grafana
#
# The token is that of a service account with the role Viewer, in a file that only you can read.
set -eu
umask 077

fail() {
    echo "export.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "name one folder to write to"
[ -n "${GRAFANA_URL:-}" ] || fail "GRAFANA_URL is not set: the address of Grafana, as https://grafana.example.com"
[ -r "${GRAFANA_TOKEN_FILE:-}" ] || fail "GRAFANA_TOKEN_FILE names no file that can be read"
for program in curl jq; do
    command -v "$program" >/dev/null || fail "$program is not installed"
done

folder=$1
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# In a file: arguments can be seen by every user of this machine.
token=$(cat "$GRAFANA_TOKEN_FILE")
printf 'header = "Authorization: Bearer %s"\n' "$token" >"$work/curlrc"

get() {
    curl --fail --silent --show-error --max-time 60 --config "$work/curlrc" --output "$2" "${GRAFANA_URL%/}$1" ||
        fail "Grafana does not answer $1"
}

# Grafana answers a search in pages, of at most 5000.
limit=${GRAFANA_PAGE:-1000}
page=1
: >"$work/uids"
while :; do
    get "/api/search?type=dash-db&limit=$limit&page=$page" "$work/page.json"
    jq -r '.[].uid' "$work/page.json" >>"$work/uids"
    [ "$(jq length "$work/page.json")" -eq "$limit" ] || break
    page=$((page + 1))
    [ "$page" -le 1000 ] || fail "the search does not end"
done

count=0
while IFS= read -r uid; do
    # It becomes the name of a file.
    case $uid in
    '' | *[!A-Za-z0-9_-]*) fail "a dashboard has an odd uid: $uid" ;;
    esac
    get "/api/dashboards/uid/$uid" "$work/one.json"
    # Only the dashboard: its number and version differ from server to server.
    jq -e '.dashboard | objects | .id = null | del(.version)' "$work/one.json" >"$work/new.json" ||
        fail "the answer for $uid has no dashboard"
    mv "$work/new.json" "$folder/.$uid.json.new"
    mv "$folder/.$uid.json.new" "$folder/$uid.json"
    count=$((count + 1))
done <"$work/uids"
[ "$count" -gt 0 ] || fail "Grafana has no dashboard that this token may see"
echo "saved $count dashboards to $folder"
