-- What calls leave behind. No index is unique but the tables' own numbers: what happens twice shall be seen twice.
create schema chaos;

create table chaos.notes (
    note_id bigint generated always as identity,
    mark text not null,
    kind text not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint notes_pkey primary key (note_id)
);

create index notes_mark_idx on chaos.notes (mark);

create table chaos.tasks (
    task_id bigint generated always as identity,
    mark text not null,
    claimed_by text,
    made_at timestamptz not null default clock_timestamp(),
    constraint tasks_pkey primary key (task_id)
);

create index tasks_free_idx on chaos.tasks (task_id) where claimed_by is null;

create table chaos.claims (
    claim_id bigint generated always as identity,
    task_id bigint not null,
    mark text not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint claims_pkey primary key (claim_id)
);
