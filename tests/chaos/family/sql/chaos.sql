-- name: note
-- Leaves a mark, and counts how often it stands there.
with noted as (
    insert into chaos.notes (mark, kind) values (:mark, 'note')
    returning mark
),

reply as (
    select
        (
            select count(*)
            from chaos.notes as n
            where n.mark = o.mark
        ) + 1 as result,
        null::jsonb as error,
        jsonb_build_array(jsonb_build_object(
            'type', 'Noted', 'aggregate', 'mark', 'aggregate_id', o.mark,
            'data', jsonb_build_object('kind', 'note')
        )) as events
    from noted as o
)

select * from reply;

-- name: offer
-- A new task.
with offered as (
    insert into chaos.tasks (mark) values (:mark)
    returning task_id, mark
),

reply as (
    select
        o.task_id as result,
        null::jsonb as error,
        jsonb_build_array(jsonb_build_object(
            'type', 'Offered', 'aggregate', 'task', 'aggregate_id', o.task_id::text,
            'data', jsonb_build_object('mark', o.mark)
        )) as events
    from offered as o
)

select * from reply;

-- name: claim
-- The oldest free task that nobody else is taking right now becomes this caller's.
with current as (
    select task_id
    from chaos.tasks
    where claimed_by is null
    order by task_id
    limit 1
    for update skip locked
),

changed as (
    update chaos.tasks as t
    set claimed_by = :mark
    from current as c
    where t.task_id = c.task_id
    returning t.task_id
),

claim as (
    insert into chaos.claims (task_id, mark)
    select ch.task_id, :mark from changed as ch
    returning task_id, mark
),

reply as (
    select
        k.task_id as result,
        null::jsonb as error,
        case
            when k.task_id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'Claimed', 'aggregate', 'task', 'aggregate_id', k.task_id::text,
                'data', jsonb_build_object('mark', k.mark)
            ))
        end as events
    from (values (1)) as one (row)
    left join claim as k on true
)

select * from reply;

-- name: look
-- How often a mark stands there.
select count(*) as times
from chaos.notes
where mark = :mark;

-- name: leave
-- Leaves a mark of this kind, and counts how often it stands there.
with noted as (
    insert into chaos.notes (mark, kind) values (:mark, :kind)
    returning mark
)

select
    (
        select count(*)
        from chaos.notes as n
        where n.mark = o.mark
    ) + 1 as times
from noted as o;

-- name: rest
-- Takes that many seconds.
select 1 as rested from pg_sleep(:seconds::float8);
