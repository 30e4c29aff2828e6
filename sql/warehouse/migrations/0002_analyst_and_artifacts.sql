-- what:  lets the analyst's role log in by itself, because a role that a session was set to can be left; and keeps the
--        artifact with each promotion, so that a night finds its model without the registry
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.
--        A user who may not make logins leaves the roles as they are: the server's owner gives analysts theirs.

do $$
begin
    if exists (select from pg_roles where rolname = 'nightshift_analyst' and not rolcanlogin) then
        alter role nightshift_analyst login;
    end if;
exception
    when insufficient_privilege then
        raise notice 'nightshift_analyst stays without a login';
end
$$;

-- As sql/compose/create_databases.sql does for a server; only a superuser is sure to own the database.
do $$
begin
    if current_setting('is_superuser') = 'on' then
        execute 'revoke temporary on database ' || quote_ident(current_database()) || ' from public';
    end if;
end
$$;

alter table model_promotions add column model_sha256 text, add column model_uri text;
comment on column model_promotions.model_sha256 is 'sha256 of the promoted artifact; null in rows older than the column';
comment on column model_promotions.model_uri is 'Folder of the version''s files; null in rows older than the column';

comment on column scoring_runs.seconds_publish is 'Seconds spent loading and comparing counts, waiting for chunks not included';
