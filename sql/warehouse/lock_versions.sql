-- what:       holds the lock of one job's model versions until the transaction ends
-- parameters: job
select pg_advisory_xact_lock(hashtext('nightshift versions'), hashtext(:job));
