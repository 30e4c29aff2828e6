-- what:       makes other transactions about the retrainings, promotions and shadows of a job wait until this one ends
-- parameters: job
select pg_advisory_xact_lock(hashtextextended('job ' || :job, 0))
