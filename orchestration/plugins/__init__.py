"""What Airflow's api-server loads: the pages and where they are linked."""
