-- Work: bulk objects, confirmed plans, workflows with their steps, attempts and intents, deploy sessions, media, images.

create table bulks (
    id uuid primary key,
    public_id text not null unique,
    kind text not null check (kind in ('enrol', 'inspect', 'provision', 'power')),
    title text not null,
    created_by text not null,
    created_at timestamptz not null default now(),
    cancelled_at timestamptz,
    finished_at timestamptz,
    request jsonb not null default '{}'
);

create table bulk_items (
    bulk_id uuid not null references bulks on delete cascade,
    position int not null,
    label text not null,
    input jsonb not null default '{}',
    node_id uuid references nodes on delete set null,
    workflow_id uuid,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'refused', 'cancelled')),
    code text,
    message text,
    next text,
    started_at timestamptz,
    finished_at timestamptz,
    -- Which process works on it, so that a crash leaves no item hanging.
    claimed_by uuid,
    claimed_until timestamptz,
    primary key (bulk_id, position)
);
create index bulk_items_open on bulk_items (bulk_id, position) where state in ('waiting', 'running');
create index bulk_items_by_workflow on bulk_items (workflow_id);

-- A set of plans as it was shown, so that what was confirmed is what is run.
create table plans (
    id uuid primary key,
    public_id text not null unique,
    created_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    -- A plan set is run once.
    used_at timestamptz,
    kind text not null,
    request jsonb not null,
    nodes jsonb not null
);

create table workflows (
    id uuid primary key,
    public_id text not null unique,
    kind text not null,
    node_id uuid not null references nodes on delete cascade,
    bulk_id uuid references bulks on delete set null,
    mutating boolean not null,
    plan jsonb not null,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'waiting', 'needs_human', 'succeeded', 'failed', 'cancelled')),
    -- Index of the step at work, in the order of the plan.
    step int not null default 0,
    -- What a waiting workflow waits for, in words, and what happens when the wait runs out.
    waits_for text,
    waits_since timestamptz,
    waits_until timestamptz,
    then_what text,
    -- Why it needs a person or failed: what, why, next.
    error_code text,
    error_message text,
    error_why text,
    error_next jsonb not null default '[]',
    -- What steps learned, stored before it is used.
    memory jsonb not null default '{}',
    cancel_requested_at timestamptz,
    cancel_now boolean not null default false,
    cancel_reason text,
    cancelled_by text,
    -- Where the node was left: set when the workflow ends.
    left_behind text,
    created_by text not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    -- When to look again; while a lease is held: its end. Only queued, running and waiting rows are due.
    due_at timestamptz not null default now(),
    -- Somebody had news while a driver was at work: look again at once.
    woken boolean not null default false,
    -- Whose turn it is: work of one bulk shares a lane, everything else (and what a person retried) is in the lane of zeros.
    lane uuid not null default '00000000-0000-0000-0000-000000000000',
    lease_owner uuid,
    lease_epoch bigint not null default 0,
    lease_until timestamptz,
    version bigint not null default 1
);
-- At most one mutating workflow a node is not finished.
create unique index workflows_one_mutating_per_node on workflows (node_id)
    where mutating and state in ('queued', 'running', 'waiting', 'needs_human');
create index workflows_due on workflows (lane, due_at) where state in ('queued', 'running', 'waiting');
create index workflows_leased on workflows (lease_owner) where lease_owner is not null;
create index workflows_by_node on workflows (node_id, created_at desc);
create index workflows_by_bulk on workflows (bulk_id);
create index workflows_open on workflows (state, created_at)
    where state in ('queued', 'running', 'waiting', 'needs_human');

create table workflow_steps (
    workflow_id uuid not null references workflows on delete cascade,
    position int not null,
    kind text not null,
    title text not null,
    state text not null default 'pending'
        check (state in ('pending', 'running', 'waiting', 'done', 'skipped', 'failed', 'needs_human')),
    -- Attempts in all, and since a person last answered: that one is held against the budget.
    attempts int not null default 0,
    attempts_since_person int not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    -- Last sign of progress and what it was; the deadline on lack of progress counts from here.
    progress_at timestamptz,
    progress_mark text,
    progress jsonb,
    message text,
    primary key (workflow_id, position)
);

create table attempts (
    id uuid primary key,
    workflow_id uuid not null references workflows on delete cascade,
    position int not null,
    number int not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    outcome text,
    error_code text,
    error_message text,
    unique (workflow_id, position, number)
);

-- "I am about to do X to the BMC": committed before X, settled after X.
create table intents (
    id uuid primary key,
    workflow_id uuid not null references workflows on delete cascade,
    attempt_id uuid not null references attempts on delete cascade,
    position int not null,
    effect text not null,
    -- What was read just before the act; the BMC is compared with itself only.
    before jsonb not null,
    params jsonb not null default '{}',
    committed_at timestamptz not null default now(),
    settled_at timestamptz,
    outcome text,
    detail jsonb
);
create index intents_unsettled on intents (workflow_id) where settled_at is null;

-- The ramdisk's side of one boot attempt.
create table deploy_sessions (
    id uuid primary key,
    workflow_id uuid not null references workflows on delete cascade,
    node_id uuid not null references nodes on delete cascade,
    attempt int not null,
    token_sha256 bytea not null unique check (length(token_sha256) = 32),
    created_at timestamptz not null default now(),
    claimed_at timestamptz,
    session_sha256 bytea unique check (length(session_sha256) = 32),
    boot_id text,
    agent_version text,
    machine jsonb,
    clock_offset_seconds double precision,
    remote_address text,
    seq bigint not null default 0,
    instruction jsonb not null default '{"act":"wait"}',
    write_id text,
    phase text,
    report jsonb,
    reported_at timestamptz,
    closed_at timestamptz,
    unique (workflow_id, attempt)
);

-- Files that the media listener serves: /media/<random>/<file_name>. A row dies with its attempt.
create table media_files (
    random text primary key,
    kind text not null check (kind in ('iso', 'image', 'agent')),
    file_name text not null,
    workflow_id uuid references workflows on delete cascade,
    image_id uuid,
    -- The patched block of a deploy medium, sealed: it holds the attempt's token.
    block_sealed bytea,
    -- The whole URL as it was handed out: the BMC must be told the same one again after a crash.
    url text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    bytes_served bigint not null default 0,
    requests bigint not null default 0,
    served_at timestamptz
);
create index media_files_by_workflow on media_files (workflow_id);

create table images (
    id uuid primary key,
    public_id text not null unique,
    name text not null unique check (name ~ '^[a-z0-9][a-z0-9._-]{0,126}$'),
    state text not null check (state in ('importing', 'ready', 'failed')),
    source text,
    compression text not null default 'zstd',
    sha256 text,
    size_bytes bigint,
    raw_sha256 text,
    raw_size_bytes bigint,
    object_key text,
    -- What import found: root file system, labels and UUIDs, operating system.
    facts jsonb not null default '{}',
    progress jsonb,
    error_code text,
    error_message text,
    version bigint not null default 1,
    created_by text not null,
    created_at timestamptz not null default now()
);
