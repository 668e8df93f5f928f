-- name: get_execution_kv_data
-- The value under this user's key.
select data
from platform.execution_data
where user_id = :user_id and key = :key;

-- name: set_execution_kv_data
-- Sets the value and answers the one it replaces, also when that was set by somebody this call had to wait for.
with
owner as (
    select id
    from platform.users
    where id = :user_id
),

given as (
    select
        g.data,
        octet_length(g.data::text) as bytes
    from (select coalesce(:data::jsonb, 'null'::jsonb) as data) as g
),

stored as (
    insert into platform.execution_data as d (user_id, key, node_exec_id, data)
    select
        o.id as user_id,
        :key,
        :node_exec_id,
        g.data
    from owner as o
    cross join given as g
    where g.bytes <= 131072
    on conflict (user_id, key) do update
        set
            node_exec_id = excluded.node_exec_id,
            previous = d.data,
            data = excluded.data,
            updated_at = clock_timestamp()
    returning user_id, previous
),

reply as (
    select
        s.previous as result,
        case
            when o.id is null
                then jsonb_build_object(
                    'error', 'NotFoundError',
                    'message', format('there is no user %L', :user_id),
                    'details', jsonb_build_object('user_id', :user_id)
                )
            when s.user_id is null
                then jsonb_build_object(
                    'error', 'ResultTooLarge',
                    'message', format('data takes %s bytes as JSON; at most 131072 can be answered', g.bytes),
                    'details', jsonb_build_object('bytes', g.bytes, 'limit', 131072)
                )
        end as error,
        case
            when s.user_id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'ExecutionDataSet', 'aggregate', 'execution_data', 'aggregate_id', s.user_id,
                'data', jsonb_build_object('key', :key, 'node_exec_id', :node_exec_id)
            ))
        end as events
    from given as g
    left join owner as o on true
    left join stored as s on true
)

select * from reply;
