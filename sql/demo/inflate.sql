-- what:       copies a night's flights under new flight numbers until there are at least `rows` of them
-- parameters: interval_start, interval_end (UTC, half-open), rows
with night as (
    select *
    from flights
    where time_hour >= :interval_start
      and time_hour < :interval_end
      and flight < 10000
)

insert into flights
select
    n.year, n.month, n.day, n.dep_time, n.sched_dep_time, n.dep_delay, n.arr_time, n.sched_arr_time, n.arr_delay,
    n.carrier, n.flight + 10000 * copies.number, n.tailnum, n.origin, n.dest, n.air_time, n.distance, n.hour,
    n.minute, n.time_hour
from generate_series(1, greatest(:rows / greatest((select count(*) from night), 1), 1) - 1) as copies (number)
cross join night as n;
