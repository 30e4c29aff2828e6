-- what:       what is known of each flight before it departs and bears on its time in the air
-- grain:      one row per scheduled flight: (time_hour, carrier, flight, origin)
-- parameters: interval_start, interval_end (UTC, half-open)
select
    f.time_hour,
    f.carrier,
    f.flight,
    f.origin,
    f.dest,
    f.distance,
    f.hour * 60 + f.minute as sched_dep_minute,
    p.seats,
    p.engines,
    w.wind_dir,
    w.wind_speed,
    w.temp,
    w.pressure
from flights as f
left join planes as p on p.tailnum = f.tailnum
left join weather as w on w.origin = f.origin and w.time_hour = f.time_hour
where f.time_hour >= :interval_start
  and f.time_hour < :interval_end
