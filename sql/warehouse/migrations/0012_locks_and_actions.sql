-- what:  locks that only those who may write can take; who did what; limits for analysts
-- grain: see the comment of each table
-- notes: applied once, in one transaction, by `nightshift migrate`, whose first lock may have made the table before;
--        several statements, as migrations have

create table if not exists locks (name text primary key);
comment on table locks is 'One row per lock: a night, a run, the versions of a job, the schema. A transaction that locks the row holds it';
comment on column locks.name is 'What the lock is about';
grant select, insert, update on locks to nightshift_writer;

create table actions (
    action_id bigint generated always as identity primary key,
    job text,
    action text not null,
    subject text not null,
    reason text,
    done_by text not null,
    done_at timestamptz not null,
    login text not null default session_user
);
create index actions_of_job on actions (job, action_id);
comment on table actions is 'Who did what by hand or by an answer: one row per action, which the writer can add and never change';
comment on column actions.action_id is 'Number of the action, in the order of record';
comment on column actions.job is 'Name of the job, as its file is called; null if it was about no single one';
comment on column actions.action is 'What was done: promoted, rolled back, released, discarded, unpublished, rescored, retired, approved, …';
comment on column actions.subject is 'What it was done to: a version, run, night, retraining or key';
comment on column actions.reason is 'Why, as given; null if no reason was asked for';
comment on column actions.done_by is
'The login in Airflow, the operating system''s user of a command, or nightshift for what it decided itself';
comment on column actions.done_at is 'When';
comment on column actions.login is 'Login in the warehouse that wrote the row, as the server knows it';
grant select, insert on actions to nightshift_writer;
grant select on actions to nightshift_analyst;

insert into actions (job, action, subject, reason, done_by, done_at, login)
select
    job,
    case kind when 'rollback' then 'rolled back' else 'promoted' end,
    'version ' || model_version || ' from night ' || effective_from,
    reason,
    promoted_by,
    promoted_at,
    'unknown'
from model_promotions
order by promotion_id;

-- A cluster that began before PostgreSQL 15 lets everybody create tables here.
do $$
begin
    revoke create on schema public from public;
exception
    when insufficient_privilege then
        raise notice 'the schema public stays as it is';
end
$$;

-- A role may change the time-outs in its own sessions, but not the number of sessions nor, without being superuser, the room.
do $$
begin
    alter role nightshift_analyst connection limit 20;
    alter role nightshift_analyst set default_transaction_read_only = 'on';
    alter role nightshift_analyst set statement_timeout = '15min';
    alter role nightshift_analyst set idle_in_transaction_session_timeout = '5min';
    alter role nightshift_analyst set lock_timeout = '10s';
    if current_setting('is_superuser') = 'on' then
        alter role nightshift_analyst set temp_file_limit = '10GB';
    end if;
exception
    when insufficient_privilege then
        raise notice 'nightshift_analyst stays without limits of its own';
end
$$;
