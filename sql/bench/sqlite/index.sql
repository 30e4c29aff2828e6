-- what: what an operational database has for these look-ups
create index flights_time on flights (time_hour);
create unique index weather_hour on weather (origin, time_hour);
create unique index planes_tail on planes (tailnum);
analyze;
