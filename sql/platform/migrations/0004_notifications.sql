-- Notifications that wait to be sent. A batch is made with its first notification and goes with all of them: there is
-- no empty one.

create table platform.notification_batches (
    user_id text not null,
    type text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint notification_batches_pkey primary key (user_id, type),
    constraint notification_batches_user_fkey foreign key (user_id) references platform.users (id),
    constraint notification_batches_type_known check (type in ('SYSTEM', 'REVIEW', 'EXECUTION', 'MARKETING'))
);

create index notification_batches_type_user_id_idx on platform.notification_batches (type, user_id);

-- `number` is the order of arrival. A notification that arrives while its batch is being emptied goes with it, because
-- the deletion of the batch takes whatever is there then, not what its statement saw.
create table platform.notifications (
    number bigint not null generated always as identity,
    user_id text not null,
    type text not null,
    created_at timestamptz not null,
    data jsonb not null,
    constraint notifications_pkey primary key (user_id, type, number),
    constraint notifications_batch_fkey foreign key (user_id, type)
    references platform.notification_batches (user_id, type) on delete cascade
);
