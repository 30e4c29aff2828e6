-- what:       holds the lock of one night of one job until the transaction ends
-- parameters: job, night
select pg_advisory_xact_lock(hashtext(:job), (cast(:night as date) - date '2000-01-01'));
