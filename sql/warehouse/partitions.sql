-- what:       the names of a table's partitions
-- parameters: parent
select c.relname
from pg_inherits as i
join pg_class as c on c.oid = i.inhrelid
where i.inhparent = to_regclass(:parent)
