-- name: times
select count(*)::int as times from deadly.noted where key = :key;

-- name: add
with noted as (
    insert into deadly.noted (key) values (:key) returning key
)

select (select count(*)::int from deadly.noted as n where n.key = o.key) + 1 as times from noted as o;

-- name: note
with noted as (
    insert into deadly.noted (key, fuse) values (:key, :fuse::jsonb) returning key
),

reply as (
    select
        (select count(*)::int from deadly.noted as n where n.key = o.key) + 1 as result,
        null::jsonb as error,
        jsonb_build_array(jsonb_build_object(
            'type', 'Noted', 'aggregate', 'key', 'aggregate_id', o.key,
            'data', jsonb_build_object('times', (select count(*) from deadly.noted as n where n.key = o.key) + 1)
        )) as events
    from noted as o
)

select * from reply;

-- name: note_alone
with noted as (
    insert into deadly.noted (key, fuse) values (:key, :fuse::jsonb) returning key
),

reply as (
    select
        (select count(*)::int from deadly.noted as n where n.key = o.key) + 1 as result,
        null::jsonb as error,
        jsonb_build_array(jsonb_build_object(
            'type', 'Noted', 'aggregate', 'key', 'aggregate_id', o.key,
            'data', jsonb_build_object('times', (select count(*) from deadly.noted as n where n.key = o.key) + 1)
        )) as events
    from noted as o
)

select * from reply;
