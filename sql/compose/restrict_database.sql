-- what:  takes from everybody what fills the disk or a shared table of the server and no user of a warehouse needs: large
--        objects, advisory locks, messages in the write-ahead log, and tables in public
-- grain: the database that it runs in, as superuser; also run for the embedded PostgreSQL. Can be repeated
do $$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid::regprocedure
        from pg_proc as p
        where p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname ~ '^(lo_.*|loread|lowrite|pg_(try_)?advisory_.*|pg_logical_emit_message)$'
    loop
        execute 'revoke execute on function ' || routine || ' from public';
    end loop;
end
$$;
revoke create on schema public from public;
