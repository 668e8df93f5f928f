-- How far the record of events in Redis has come. One row, written by the relay about once a second, never per event.
create table rowcall.relay (
    only_row boolean not null default true,
    -- Names the stream's generation: a new one begins when the stream turns out to be newer than the database.
    generation uuid not null default gen_random_uuid(),
    -- Every receipt whose seq is at most this is in the record, or was rolled back.
    position bigint not null default 0,
    -- The largest position there ever was in this generation: building the record anew does not lower it.
    history bigint not null default 0,
    -- The largest seq of a receipt with events that was dropped by age: what cannot be rebuilt any more.
    forgotten bigint not null default 0,
    -- Why nothing is copied until an operator decides; null while all is well.
    halted text,
    constraint relay_pkey primary key (only_row),
    constraint relay_only_row check (only_row)
);

insert into rowcall.relay (only_row) values (true);
