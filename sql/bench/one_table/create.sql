-- what:  what features.sql of flight_delay joins, kept in one table as a feature store would
-- grain: one row per scheduled flight: (time_hour, carrier, flight, origin)
create table if not exists flight_features (
    time_hour timestamptz not null,
    carrier text not null,
    flight integer not null,
    origin text not null,
    dest text not null,
    distance double precision not null,
    sched_dep_minute integer not null,
    sched_arr_minute integer not null,
    day_of_week integer not null,
    plane_age integer,
    seats integer,
    temp double precision,
    dewp double precision,
    humid double precision,
    wind_dir double precision,
    wind_speed double precision,
    precip double precision,
    pressure double precision,
    visib double precision
);
create index if not exists flight_features_time on flight_features (time_hour);
