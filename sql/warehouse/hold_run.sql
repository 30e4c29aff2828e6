-- what:       holds a run's lock, beside others who hold it, until the session ends; the server notices within two
--             minutes when the other end of the session is gone without a word, and never ends it for being idle
-- parameters: run
select
    set_config('idle_session_timeout', '0', false),
    set_config('tcp_keepalives_idle', '60', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '6', false),
    pg_advisory_lock_shared(hashtextextended('run ' || :run, 0))
