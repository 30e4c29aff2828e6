-- what:  flights out of New York in 2013, as an operational system keeps them
-- grain: one row per scheduled flight
create table flights (
    year integer not null,
    month integer not null,
    day integer not null,
    dep_time integer,
    sched_dep_time integer not null,
    dep_delay double precision,
    arr_time integer,
    sched_arr_time integer not null,
    arr_delay double precision,
    carrier text not null,
    flight integer not null,
    tailnum text,
    origin text not null,
    dest text not null,
    air_time double precision,
    distance double precision not null,
    hour integer not null,
    minute integer not null,
    time_hour timestamptz not null
);
