-- Who runs here, who may do what, and what was done: site, controllers, users, tokens, credentials, audit.

-- One row: the identity of this site.
create table site (
    only_row boolean primary key default true check (only_row),
    id uuid not null,
    created_at timestamptz not null default now()
);

-- Controller processes; one that starts with the same instance id takes its own leases back at once.
create table controllers (
    id uuid primary key,
    hostname text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null
);

create table users (
    id uuid primary key,
    name text not null unique check (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    password_hash text not null,
    role text not null check (role in ('admin', 'operator', 'viewer')),
    must_change_password boolean not null default false,
    disabled_at timestamptz,
    failed_logins int not null default 0,
    locked_until timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null default now()
);

create table api_tokens (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    name text not null,
    token_sha256 bytea not null unique check (length(token_sha256) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    revoked_at timestamptz
);
create index api_tokens_by_user on api_tokens (user_id);

-- BMC credentials. The secret is sealed with AES-256-GCM under the key file of the data folder.
create table credentials (
    id uuid primary key,
    name text not null unique check (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'),
    username text not null,
    secret_sealed bytea not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    object_kind text not null,
    object_id text,
    object_name text,
    outcome text not null default 'done',
    detail jsonb not null default '{}',
    request_id text
);
create index audit_by_time on audit (at desc);
create index audit_by_object on audit (object_kind, object_id, at desc);

-- What a repeated POST is answered with, so that a lost answer does nothing twice.
create table idempotency_keys (
    actor text not null,
    key text not null,
    request_sha256 bytea not null,
    status int,
    response jsonb,
    created_at timestamptz not null default now(),
    primary key (actor, key)
);
