create schema fragile;

create table fragile.bugs (
    kind text not null primary key,
    amount bigint
);

-- A key that is noted twice was worked on twice: nothing here forbids it.
create table fragile.noted (
    key text not null,
    at timestamptz not null default clock_timestamp()
);

create index noted_key_idx on fragile.noted (key);
