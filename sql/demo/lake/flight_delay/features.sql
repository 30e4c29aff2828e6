-- what:       what is known of each flight before it departs, from the Parquet files of `nightshift demo lake`, for DuckDB
-- grain:      one row per scheduled flight: (time_hour, carrier, flight, origin)
-- parameters: night, interval_start, interval_end (UTC, half-open)
with scheduled as (
    select
        time_hour,
        carrier,
        flight,
        origin,
        dest,
        distance,
        year,
        tailnum,
        hour * 60 + minute as sched_dep_minute,
        sched_arr_time // 100 * 60 + sched_arr_time % 100 as sched_arr_minute,
        extract(isodow from time_hour at time zone 'America/New_York') as day_of_week
    from read_parquet('{root}/flights/*/*.parquet', hive_partitioning = true)
    where night = :night
      and time_hour >= :interval_start
      and time_hour < :interval_end
)

select
    s.time_hour,
    s.carrier,
    s.flight,
    s.origin,
    s.dest,
    s.distance,
    s.sched_dep_minute,
    s.sched_arr_minute,
    s.day_of_week,
    s.year - p.year as plane_age,
    p.seats,
    w.temp,
    w.dewp,
    w.humid,
    w.wind_dir,
    w.wind_speed,
    w.precip,
    w.pressure,
    w.visib
from scheduled as s
left join read_parquet('{root}/planes.parquet') as p on p.tailnum = s.tailnum
left join read_parquet('{root}/weather.parquet') as w on w.origin = s.origin and w.time_hour = s.time_hour
