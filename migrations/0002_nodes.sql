-- BMCs and nodes: identity of a BMC is host:port, identity of a node is its service tag.

create table bmcs (
    id uuid primary key,
    host text not null,
    port int not null check (port between 1 and 65535),
    credential_id uuid references credentials,
    -- Pinned certificate (SHA-256 of the DER bytes); trusted on first use, changed only by a person.
    certificate_sha256 bytea check (length(certificate_sha256) = 32),
    certificate_pinned_at timestamptz,
    -- What the BMC said of itself last.
    service_tag text,
    vendor text,
    product text,
    firmware_version text,
    redfish_version text,
    capabilities jsonb not null default '{}',
    -- Refused logins: written before each attempt, cleared by a success, a new credential version or a person.
    refused_logins int not null default 0,
    refused_at timestamptz,
    refused_credential_version bigint,
    -- Contact was stopped on purpose: wrong password, changed certificate, swapped board.
    stopped_code text,
    stopped_reason text,
    stopped_at timestamptz,
    -- Breaker.
    contact_at timestamptz,
    failures int not null default 0,
    failure text,
    failure_at timestamptz,
    next_try_at timestamptz,
    -- Our own session, so that a restart deletes only its own leftovers.
    session_uri text,
    session_instance uuid,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    unique (host, port)
);

create table nodes (
    id uuid primary key,
    service_tag text not null unique,
    name text not null unique check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    bmc_id uuid not null unique references bmcs,
    rack text,
    position int check (position between 1 and 99),
    labels jsonb not null default '{}',
    boot_network jsonb,
    manufacturer text,
    model text,
    state text not null,
    state_reason text,
    state_since timestamptz not null default now(),
    -- State before a workflow took the node, to give back when it is cancelled before its first effect.
    previous_state text,
    health text not null default 'unknown',
    health_reason text,
    power text not null default 'unknown',
    power_watts double precision,
    power_seen_at timestamptz,
    -- What is installed.
    image_name text,
    image_sha256 text,
    installed_at timestamptz,
    provision_spec jsonb,
    simulated boolean not null default false,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index nodes_by_rack on nodes (rack, position);
create index nodes_by_state on nodes (state);

-- Newest collection of each node; earlier ones live on as their differences.
create table hardware (
    node_id uuid primary key references nodes on delete cascade,
    collected_at timestamptz not null,
    document jsonb not null,
    provision_digest text not null,
    gpu_count int not null default 0,
    gpu_summary text
);

create table hardware_changes (
    id bigint generated always as identity primary key,
    node_id uuid not null references nodes on delete cascade,
    at timestamptz not null default now(),
    section text not null,
    part text not null,
    kind text not null,
    summary text not null,
    before text,
    after text
);
create index hardware_changes_by_node on hardware_changes (node_id, id desc);

create table node_events (
    id bigint generated always as identity primary key,
    node_id uuid not null references nodes on delete cascade,
    at timestamptz not null default now(),
    source text not null check (source in ('helix', 'bmc', 'agent')),
    severity text not null check (severity in ('info', 'warning', 'critical')),
    code text,
    message text not null,
    workflow_id uuid,
    detail jsonb not null default '{}'
);
create index node_events_by_node on node_events (node_id, id desc);

-- Agents: one certificate a node; the newest report is kept, history goes to a metrics store.
create table agents (
    node_id uuid primary key references nodes on delete cascade,
    certificate_sha256 bytea not null unique check (length(certificate_sha256) = 32),
    not_after timestamptz not null,
    -- A renewed certificate, until its first use: then it takes the place of the one above.
    next_certificate_sha256 bytea unique check (length(next_certificate_sha256) = 32),
    next_not_after timestamptz,
    revoked_at timestamptz,
    joined_at timestamptz not null default now(),
    boot_id text,
    agent_version text,
    simulated boolean not null default false,
    os_name text,
    kernel text,
    report jsonb,
    report_at timestamptz
);

create table join_tokens (
    token_sha256 bytea primary key check (length(token_sha256) = 32),
    node_id uuid not null references nodes on delete cascade,
    workflow_id uuid,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    -- The public key that joined with it: an agent whose answer was lost may ask again, nobody else.
    key_sha256 bytea check (length(key_sha256) = 32)
);
create index join_tokens_by_workflow on join_tokens (workflow_id);
create index join_tokens_by_node on join_tokens (node_id);

-- What stays of a removed node: its history under its tag, beside the audit.
create table removed_nodes (
    id bigint generated always as identity primary key,
    service_tag text not null,
    name text not null,
    removed_at timestamptz not null default now(),
    removed_by text not null,
    history jsonb not null
);
create index removed_nodes_by_tag on removed_nodes (service_tag, removed_at desc);
