-- Key-value data of users, and the way to the last days' executions of nodes.

-- `previous` is what the last set replaced. An upsert sees the row it waited for only through its conflict, so this is
-- how it can answer it; and therefore no value is larger than the answer of a write can be.
create table platform.execution_data (
    user_id text not null,
    key text not null,
    node_exec_id text not null,
    data jsonb not null,
    previous jsonb,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint execution_data_pkey primary key (user_id, key),
    constraint execution_data_user_fkey foreign key (user_id) references platform.users (id)
);

-- Executions lie in the order of their creation, more or less, so a week of them is found without an entry for each: of
-- two million they take 32 KiB, and the many updates of an execution cost no more.
create index node_executions_add_time_idx on platform.node_executions using brin (add_time) with (autosummarize = on);
