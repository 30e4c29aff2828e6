-- what:  the aircraft register, with the planes it lacks
-- grain: one row per tail number
create table planes (
    tailnum text not null,
    year integer,
    type text,
    manufacturer text,
    model text,
    engines integer,
    seats integer,
    speed integer,
    engine text
);
