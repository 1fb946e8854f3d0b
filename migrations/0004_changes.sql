-- The feed behind live views: one row per change, so that a stream that was cut resumes where it was.

create table changes (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    topic text not null,
    object_id text not null,
    -- Readers order by transaction, then id, and read only what no running transaction can still slip in before.
    transaction bigint not null default (pg_current_xact_id()::text::bigint)
);
create index changes_in_order on changes (transaction, id);
create index changes_by_time on changes (at);

-- LISTEN/NOTIFY is a hint; the rows are the truth.
create function record_change() returns trigger language plpgsql as $$
begin
    insert into changes (topic, object_id)
    values (tg_argv[0], (case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end) ->> tg_argv[1]);
    perform pg_notify('helix_changes', tg_argv[0]);
    return null;
end
$$;

create trigger nodes_changed after insert or update or delete on nodes
    for each row execute function record_change('node', 'id');
create trigger workflows_inserted after insert on workflows
    for each row execute function record_change('workflow', 'id');
-- A lease heartbeat is no news.
create trigger workflows_updated after update on workflows
    for each row
    when (old.state is distinct from new.state or old.step is distinct from new.step
        or old.waits_for is distinct from new.waits_for or old.error_code is distinct from new.error_code
        or old.cancel_requested_at is distinct from new.cancel_requested_at)
    execute function record_change('workflow', 'id');
create trigger steps_updated after update on workflow_steps
    for each row
    when (old.state is distinct from new.state or old.progress is distinct from new.progress
        or old.message is distinct from new.message)
    execute function record_change('workflow', 'workflow_id');
create trigger bulks_changed after insert or update on bulks
    for each row execute function record_change('bulk', 'id');
create trigger bulk_items_updated after update on bulk_items
    for each row when (old.state is distinct from new.state)
    execute function record_change('bulk', 'bulk_id');
create trigger images_changed after insert or update or delete on images
    for each row execute function record_change('image', 'id');
create trigger agents_changed after insert or update on agents
    for each row execute function record_change('node', 'node_id');

-- Wakes the engine's loop.
create function wake_engine() returns trigger language plpgsql as $$
begin
    perform pg_notify('helix_work', new.id::text);
    return null;
end
$$;
create trigger workflows_wake_insert after insert on workflows
    for each row execute function wake_engine();
create trigger workflows_wake_update after update on workflows
    for each row
    when (old.due_at is distinct from new.due_at and new.due_at <= now() and new.state in ('queued', 'running', 'waiting'))
    execute function wake_engine();

-- Wakes a ramdisk's long poll.
create function wake_deploy() returns trigger language plpgsql as $$
begin
    perform pg_notify('helix_deploy', new.id::text);
    return null;
end
$$;
create trigger deploy_sessions_instructed after update on deploy_sessions
    for each row when (old.seq is distinct from new.seq)
    execute function wake_deploy();
