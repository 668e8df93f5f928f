-- How users want to be told of things, and an index that finds who was active.

alter table platform.users add column email_verified boolean not null default true;

-- Of those who said what they want. One column for each type of notification.
create table platform.notification_preferences (
    user_id text not null,
    system boolean not null,
    review boolean not null,
    execution boolean not null,
    marketing boolean not null,
    daily_limit bigint not null,
    constraint notification_preferences_pkey primary key (user_id),
    constraint notification_preferences_user_fkey foreign key (user_id) references platform.users (id),
    constraint notification_preferences_daily_limit_not_negative check (daily_limit >= 0)
);

-- Whoever was active in a time is read from this alone: neither the table nor any other time is looked at.
create index graph_executions_created_at_id_idx on platform.graph_executions (created_at, id) include (user_id);
