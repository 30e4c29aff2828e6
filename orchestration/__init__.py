"""Airflow's words and ours: the tasks of every DAG; with the pages' login the only place that imports Airflow."""
