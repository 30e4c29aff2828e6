-- what:  the primary key of every history begins with night and run, and is its only index: a run is loaded at its end
-- grain: the history of every job there is
-- notes: applied once, in one transaction, by `nightshift migrate`. It builds the index of every partition anew, which takes
--        1 to 2.5 CPU seconds per million rows; nobody reads or loads predictions meanwhile. `pg_stat_progress_create_index` shows
--        how far it is

do $$
declare
    history record;
begin
    perform set_config('maintenance_work_mem', '256MB', true);
    for history in
        select
            j.job || '_predictions_history' as name,
            k.conname as constraint_name,
            j.job || '_one_night' as one_night,
            (
                select string_agg(quote_ident(a.attname), ', ' order by u.place)
                from unnest(k.conkey) with ordinality as u (number, place)
                join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.number
                where a.attname not in ('night', 'run_number')
            ) as job_key
        from jobs as j
        join pg_constraint as k
            on k.conrelid = to_regclass(quote_ident(j.job || '_predictions_history')) and k.contype = 'p'
    loop
        execute 'drop index if exists ' || quote_ident(history.one_night);
        execute 'alter table ' || quote_ident(history.name)
            || ' drop constraint ' || quote_ident(history.constraint_name)
            || ', add primary key (night, run_number, ' || history.job_key || ')';
    end loop;
end
$$;
