"""Airflow's words and ours: the tasks of every DAG. Beside the pages' login this is the only place that imports Airflow."""
