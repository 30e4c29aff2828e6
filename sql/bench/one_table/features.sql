-- what:       what is known of each flight before it departs, from a table that holds it as it is
-- grain:      one row per scheduled flight: (time_hour, carrier, flight, origin)
-- parameters: interval_start, interval_end (UTC, half-open)
select
    time_hour,
    carrier,
    flight,
    origin,
    dest,
    distance,
    sched_dep_minute,
    sched_arr_minute,
    day_of_week,
    plane_age,
    seats,
    temp,
    dewp,
    humid,
    wind_dir,
    wind_speed,
    precip,
    pressure,
    visib
from flight_features
where time_hour >= :interval_start
  and time_hour < :interval_end
