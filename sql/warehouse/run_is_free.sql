-- what:       whether nobody holds a run's lock; if so, it is held until the transaction ends
-- parameters: run
select pg_try_advisory_xact_lock(hashtextextended('run ' || :run, 0)) as free
