-- What opens other services to users. `sealed` is a token of Fernet, made by a worker with the keys of
-- ROWCALL_ENCRYPTION_KEYS for this user and this table alone: moved elsewhere, it does not open.

create table platform.user_integrations (
    user_id text not null,
    sealed text not null,
    updated_at timestamptz not null default clock_timestamp(),
    constraint user_integrations_pkey primary key (user_id),
    constraint user_integrations_user_fkey foreign key (user_id) references platform.users (id)
);

create table platform.user_metadata (
    user_id text not null,
    sealed text not null,
    updated_at timestamptz not null default clock_timestamp(),
    constraint user_metadata_pkey primary key (user_id),
    constraint user_metadata_user_fkey foreign key (user_id) references platform.users (id)
);
