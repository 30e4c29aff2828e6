-- what:       the sessions in this database that hold locks on its tables, the oldest transaction first
-- parameters: none
select
    a.pid,
    a.usename,
    a.application_name,
    a.xact_start
from pg_stat_activity as a
where a.datname = current_database() and a.pid <> pg_backend_pid() and exists (
    select
    from pg_locks as p
    join pg_class as c on c.oid = p.relation and c.relnamespace = 'public'::regnamespace
    where p.pid = a.pid and p.granted and p.locktype = 'relation'
)
order by a.xact_start nulls last, a.pid
limit 3
