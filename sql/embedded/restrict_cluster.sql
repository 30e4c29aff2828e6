-- what:  the group roles of the warehouse, and who may connect to which database: analysts and writers to the warehouse
--        only, and nobody makes temporary tables
-- grain: the embedded cluster, as superuser. Can be repeated
do $$
declare
    wanted text;
begin
    foreach wanted in array array['nightshift_writer', 'nightshift_analyst'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute 'create role ' || wanted || ' nologin';
        end if;
    end loop;
    for wanted in select quote_ident(datname) from pg_database where datallowconn loop
        execute 'revoke connect, temporary on database ' || wanted || ' from public';
    end loop;
end
$$;
grant connect on database warehouse to nightshift_writer, nightshift_analyst;
