-- what:       every plane that left New York in the last 28 days, with its history up to the end of the night
-- grain:      one row per plane and night: tailnum
-- parameters: night (calendar day in New York), interval_end (its end, UTC)
with flown as (
    select *
    from flights
    where time_hour >= :interval_end - interval '28 days'
      and time_hour < :interval_end
      and dep_time is not null
      and tailnum is not null
),

recent as (
    select
        tailnum,
        count(*) filter (where time_hour >= :interval_end - interval '7 days') as flights_7_days,
        count(*) as flights_28_days,
        count(distinct dest) as destinations_28_days,
        sum(distance) as miles_28_days,
        avg(dep_delay) as mean_delay_28_days
    from flown
    group by tailnum
),

last_flights as (
    select distinct on (tailnum)
        tailnum,
        carrier,
        origin,
        dest,
        extract(epoch from :interval_end - time_hour) / 86400 as days_since_flight
    from flown
    order by tailnum, time_hour desc, flight desc
)

select
    r.tailnum,
    l.carrier,
    l.origin,
    l.dest,
    l.days_since_flight,
    r.flights_7_days,
    r.flights_28_days,
    r.destinations_28_days,
    r.miles_28_days,
    r.mean_delay_28_days,
    extract(year from :night) - p.year as plane_age,
    p.seats,
    p.engines,
    extract(isodow from :night)::integer as day_of_week
from recent as r
join last_flights as l on l.tailnum = r.tailnum
left join planes as p on p.tailnum = r.tailnum
