-- what:       whether each flight that arrived was more than 15 minutes late, from the Parquet files, for DuckDB
-- grain:      one row per flight with an outcome; cancelled and diverted flights have none
-- parameters: interval_start, interval_end (UTC, half-open)
select
    time_hour,
    carrier,
    flight,
    origin,
    arr_delay > 15 as late
from read_parquet('{root}/flights/*/*.parquet', hive_partitioning = true)
where time_hour >= :interval_start
  and time_hour < :interval_end
  and arr_delay is not null
