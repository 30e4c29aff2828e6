-- what:       holds a lock until the transaction ends, and waits for it as long as the session's lock_timeout says
-- parameters: name
insert into locks (name) values (:name) on conflict (name) do update set name = excluded.name
