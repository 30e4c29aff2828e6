#!/bin/sh
# Makes the secrets of docker-compose.yml, a file each, in the folder secrets/ that git and the image never see.
# Files that are there stay as they are. Passwords are hexadecimal: they stand in URLs, where nothing has to be quoted.
#
# The folder is for its owner only. The files in it can be read by others, because in the containers other users do.
set -eu
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"

make() {
    if [ ! -e "$folder/$1" ]; then
        name=$1
        shift
        printf "%s" "$("$@")" > "$folder/.$name"
        chmod 644 "$folder/.$name"
        mv "$folder/.$name" "$folder/$name"
        echo "$folder/$name"
    fi
}

fernet_key() {
    openssl rand -base64 32 | tr '+/' '-_'
}

# PostgreSQL's superuser, for administration; no service logs in with it.
make postgres_password openssl rand -hex 48
# Owners of the four databases, and the read-only analyst of the warehouse.
for owner in airflow registry warehouse source analyst; do
    make "${owner}_db_password" openssl rand -hex 48
done
# The queue between scheduler and workers.
make redis_password openssl rand -hex 48
# Encrypts the connections that Airflow stores. A lost key is lost connections.
make airflow_fernet_key fernet_key
# Signs the tokens of the UI and of running tasks.
make airflow_jwt_secret openssl rand -hex 48
# Signs what the api-server and the workers say to each other (task logs), and the UI's sessions.
make airflow_api_secret_key openssl rand -hex 48
# The first user of Airflow's UI: admin, who makes the others.
make airflow_admin_password openssl rand -hex 12
# What Prometheus sends to read the metrics, and the first user of Grafana: the profile observability.
make metrics_token openssl rand -hex 24
make grafana_admin_password openssl rand -hex 12
