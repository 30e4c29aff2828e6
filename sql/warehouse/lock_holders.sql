-- what:       the sessions that hold a lock: those that have locked its row, or that are just making it
-- parameters: name
select
    a.pid,
    a.usename,
    a.application_name,
    a.xact_start
from pg_stat_activity as a
join pg_locks as p on p.pid = a.pid and p.granted and p.locktype = 'transactionid' and p.mode = 'ExclusiveLock'
where a.pid <> pg_backend_pid() and coalesce(
    (select p.transactionid = l.xmax from locks as l where l.name = :name),
    exists (
        select
        from pg_locks as t
        where t.pid = a.pid and t.relation = 'locks'::regclass and t.mode = 'RowExclusiveLock' and t.granted
    )
)
order by a.pid
limit 3
