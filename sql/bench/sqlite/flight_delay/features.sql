-- what:       what is known of each flight before it departs, for the SQLite copy of `make bench-sources`
-- grain:      one row per scheduled flight: (time_hour, carrier, flight, origin)
-- parameters: interval_start, interval_end (UTC, half-open)
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
        sched_arr_time / 100 * 60 + sched_arr_time % 100 as sched_arr_minute,
        (strftime('%w', printf('%04d-%02d-%02d', year, month, day)) + 6) % 7 + 1 as day_of_week
    from flights
    where time_hour >= :interval_start
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
left join planes as p on p.tailnum = s.tailnum
left join weather as w on w.origin = s.origin and w.time_hour = s.time_hour
