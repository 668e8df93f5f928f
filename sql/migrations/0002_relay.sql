-- How far the record of events in Redis has come. One row, written by the relay about once a second, never per event.
create table rowcall.relay (
    only_row boolean not null default true,
    -- Names the stream's generation: a new one begins when the database turns out to be older than the stream.
    generation uuid not null default gen_random_uuid(),
    -- Every receipt whose seq is at most this is in the record, or was rolled back.
    position bigint not null default 0,
    -- The largest seq of a receipt that was dropped by age: what cannot be rebuilt any more.
    forgotten bigint not null default 0,
    -- When the relay last had nothing left to copy.
    caught_up_at timestamptz not null default clock_timestamp(),
    constraint relay_pkey primary key (only_row),
    constraint relay_only_row check (only_row)
);

insert into rowcall.relay (only_row) values (true);
