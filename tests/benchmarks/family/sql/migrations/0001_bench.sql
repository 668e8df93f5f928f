create schema bench;

create table bench.users (
    user_id bigint not null,
    name text not null,
    email text not null,
    city text not null,
    country text not null,
    balance bigint not null,
    visits bigint not null,
    active boolean not null,
    created_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz,
    constraint users_pkey primary key (user_id)
);

create table bench.entries (
    entry_id bigint not null generated always as identity,
    user_id bigint not null,
    amount bigint not null,
    balance bigint not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint entries_pkey primary key (entry_id)
);

create table bench.items (
    item_id bigint not null,
    group_id bigint not null,
    title text not null,
    body text not null,
    state text not null,
    owner text not null,
    reviewer text,
    position bigint not null,
    price bigint not null,
    stock bigint not null,
    weight bigint not null,
    listed boolean not null,
    archived boolean not null,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    constraint items_pkey primary key (group_id, position)
);
