-- what:  retrainings that wait for a version that something else trains and registers
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.

alter table retrainings drop constraint retrainings_stage_check;
alter table retrainings add constraint retrainings_stage_check check (
    stage in (
        'snapshot', 'external', 'train', 'evaluate', 'gate', 'approve', 'shadow', 'promote', 'announce', 'done'
    )
);
comment on column retrainings.stage is 'How far it came; external: it waits for a version that is trained elsewhere';
