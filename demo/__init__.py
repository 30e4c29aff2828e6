"""The demo: real flights as operational tables, and a local Airflow that scores them."""
