#!/bin/sh
# Ends with code 1, and a line for each secret that is missing, short, a placeholder, or the same as another one. The service
# `secrets` of docker-compose.yml runs it before anything else starts.
set -eu
folder=${1:-/run/secrets}
shortest=20
problems=0
count=0
seen=" "

refuse() {
    echo "secret $1: $2. Make it anew: remove secrets/$1, then sh deploy/compose/make_secrets.sh" >&2
    problems=1
}

for file in "$folder"/*; do
    name=$(basename "$file")
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then
        refuse "$name" "it is no file that can be read"
        continue
    fi
    count=$((count + 1))
    value=$(cat "$file")
    lower=$(printf '%s' "$value" | tr '[:upper:]' '[:lower:]')
    case "$lower" in
    "") refuse "$name" "it is empty" && continue ;;
    *change*me* | *password* | *example* | *secret* | *default* | *admin* | *airflow* | *nightshift* | *placeholder*)
        refuse "$name" "it is a placeholder" && continue
        ;;
    esac
    if [ "${#value}" -lt "$shortest" ]; then
        refuse "$name" "it has ${#value} characters, expected $shortest or more"
    fi
    case "$seen" in
    *" $value "*) refuse "$name" "another secret is the same" ;;
    esac
    seen="$seen$value "
done
if [ "$count" -eq 0 ]; then
    echo "no secrets in $folder. Make them: sh deploy/compose/make_secrets.sh" >&2
    problems=1
fi
exit "$problems"
