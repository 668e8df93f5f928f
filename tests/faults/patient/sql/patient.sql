-- name: nap
-- Sleep.
select :ms::integer as result from pg_sleep(:ms::integer / 1000.0);

-- name: doze
-- Sleep, too.
select :ms::integer as result from pg_sleep(:ms::integer / 1000.0);

-- name: sleep
-- For stories.
select :ms::integer as result from pg_sleep(:ms::integer / 1000.0);

-- name: stay
-- Wait for the test.
select 1 as result from pg_advisory_xact_lock_shared(78);

-- name: wait
-- For stories.
select 1 as result from pg_advisory_xact_lock_shared(78);

-- name: note
-- Once more.
with noted as (
    insert into patient.notes as n (key, times) values (:key, 1)
    on conflict (key) do update set times = n.times + 1
    returning n.times
),

reply as (
    select noted.times as result, null::jsonb as error, null::jsonb as events from noted
)

select * from reply;

-- name: count_up
-- Once more, for stories.
insert into patient.notes as n (key, times) values (:key, 1)
on conflict (key) do update set times = n.times + 1
returning n.times;
