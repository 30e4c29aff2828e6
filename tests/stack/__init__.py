"""The services of docker-compose.yml as processes of this machine, and what a night, a backfill and a retraining do on them."""
