-- name: get_graph_execution_meta
-- An execution of this user, without its inputs and outputs.
select
    id, user_id, graph_id, graph_version, preset_id, status, created_at, started_at, ended_at, stats
from platform.graph_executions
where id = :execution_id and user_id = :user_id;

-- name: find_graph_execution
-- An execution of this user, with its inputs and outputs.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where id = :execution_id and user_id = :user_id;

-- name: list_graph_executions
-- One page of a user's executions, newest first.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where
    user_id = :user_id
    and (created_at, id) < (:before::timestamptz, :before_id::text)
order by created_at desc, id desc
limit :rows;

-- name: list_graph_executions_of_graph
-- One page of a user's executions of one graph, newest first.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where
    user_id = :user_id
    and graph_id = :graph_id
    and (created_at, id) < (:before::timestamptz, :before_id::text)
order by created_at desc, id desc
limit :rows;

-- name: list_graph_executions_of_graph_version
-- One page of a user's executions of one version of a graph, newest first.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where
    user_id = :user_id
    and graph_id = :graph_id
    and graph_version = :graph_version::bigint
    and (created_at, id) < (:before::timestamptz, :before_id::text)
order by created_at desc, id desc
limit :rows;

-- name: list_graph_executions_of_version
-- One page of a user's executions of one version number, whichever the graph, newest first.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where
    user_id = :user_id
    and graph_version = :graph_version::bigint
    and (created_at, id) < (:before::timestamptz, :before_id::text)
order by created_at desc, id desc
limit :rows;

-- name: list_graph_executions_of_preset
-- One page of a user's executions of one preset, newest first.
-- scans: a preset runs one graph, so the filters on graph and version keep all of a preset's executions or none.
select
    id,
    user_id,
    graph_id,
    graph_version,
    preset_id,
    status,
    created_at,
    started_at,
    ended_at,
    stats,
    inputs,
    outputs,
    left_out
from platform.graph_execution_details
where
    user_id = :user_id
    and preset_id = :preset_id
    and graph_id = coalesce(:graph_id, graph_id)
    and graph_version = coalesce(:graph_version::bigint, graph_version)
    and (created_at, id) < (:before::timestamptz, :before_id::text)
order by created_at desc, id desc
limit :rows;

-- name: check_new_execution
-- What a new execution needs: the user, a version this user may run, and that the nodes named are that version's.
select
    (
        select count(*) from platform.users as u
        where u.id = :user_id
    ) as users,
    (
        select count(*)
        from platform.graphs as g
        where g.id = :graph_id and g.version = :graph_version::bigint and (g.user_id = :user_id or g.is_listed)
    ) as graphs,
    (
        select coalesce(jsonb_agg(s.node_id order by s.node_id), '[]'::jsonb)
        from unnest(:node_ids::text[]) as s (node_id)
        left join platform.nodes as n
            on s.node_id = n.id and n.graph_id = :graph_id and n.graph_version = :graph_version::bigint
        where n.id is null
    ) as unknown_nodes;

-- name: insert_graph_execution
-- A queued execution, without its nodes.
insert into platform.graph_executions (id, user_id, graph_id, graph_version, preset_id, status)
values (:id, :user_id, :graph_id, :graph_version::bigint, :preset_id, 'QUEUED');

-- name: insert_node_executions
-- A pending execution of every node of the graph, in the graph's order, the starting ones with their inputs.
insert into platform.node_executions (id, graph_exec_id, node_id, edge, status, input_data)
select
    gen_random_uuid()::text as id,
    :graph_exec_id,
    n.id as node_id,
    platform.edge_of(b.type) as edge,
    'PENDING' as status,
    coalesce(:starting_nodes_input::jsonb -> n.id, '{}'::jsonb) as input_data
from platform.nodes as n
inner join platform.blocks as b on n.block_id = b.id
where n.graph_id = :graph_id and n.graph_version = :graph_version::bigint
order by n.position;

-- name: update_graph_execution_start_time
-- Locks the execution; stamps its start unless it has one, and lets it run if it was waiting to.
with
current as (
    select
        id,
        user_id,
        graph_id,
        status,
        started_at
    from platform.graph_executions
    where id = :graph_exec_id
    for no key update
),

started as (
    update platform.graph_executions as e
    set
        started_at = clock_timestamp(),
        status = case when c.status in ('PENDING', 'QUEUED') then 'RUNNING' else c.status end
    from current as c
    where e.id = c.id and c.started_at is null
    returning e.id, e.status
),

reply as (
    select
        null::jsonb as result,
        case
            when c.id is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no graph execution %L', :graph_exec_id),
                'details', jsonb_build_object('graph_exec_id', :graph_exec_id)
            )
        end as error,
        case
            when s.id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'GraphExecutionStarted', 'aggregate', 'graph_execution', 'aggregate_id', s.id,
                'data', jsonb_build_object(
                    'user_id', c.user_id, 'graph_id', c.graph_id, 'status', s.status, 'previous', c.status
                )
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join started as s on true
)

select * from reply;

-- name: update_graph_execution_stats
-- Locks the execution and judges the transition. A refused one changes nothing; given stats replace those of the same
-- key, also when the status stays; the start is stamped once, the end at every end and taken back by a resume.
with
current as (
    select
        id,
        status,
        stats,
        started_at,
        ended_at,
        platform.may_become(status, :status::text) as moves,
        coalesce(:status::text, status) = status as stays
    from platform.graph_executions
    where id = :graph_exec_id
    for no key update
),

wanted as (
    select
        c.id,
        case when c.moves then :status::text else c.status end as status,
        case
            when (c.moves or c.stays) and :stats::jsonb <> '{}'::jsonb
                then coalesce(c.stats, '{}'::jsonb) || :stats::jsonb
            else c.stats
        end as stats,
        case
            when c.moves and :status::text = 'RUNNING' then coalesce(c.started_at, clock_timestamp())
            else c.started_at
        end as started_at,
        case
            when not c.moves then c.ended_at
            when :status::text in ('COMPLETED', 'FAILED', 'CANCELED') then clock_timestamp()
        end as ended_at
    from current as c
),

changed as (
    update platform.graph_executions as e
    set
        status = w.status,
        stats = w.stats,
        started_at = w.started_at,
        ended_at = w.ended_at
    from wanted as w
    inner join current as c on w.id = c.id
    where e.id = w.id and (c.moves or w.stats is distinct from c.stats)
    returning e.id
),

reply as (
    select
        to_jsonb(d) || jsonb_build_object(
            'status', w.status, 'stats', w.stats, 'started_at', w.started_at, 'ended_at', w.ended_at
        ) || case
            when f.its then '{}'::jsonb
            else jsonb_build_object(
                'inputs', '{}'::jsonb, 'outputs', '{}'::jsonb, 'stats', null,
                'left_out', '["inputs", "outputs", "stats"]'::jsonb
            )
        end as result,
        null::jsonb as error,
        case
            when x.id is not null then jsonb_build_array(jsonb_build_object(
                'type', case when c.moves then 'GraphExecutionStatusChanged' else 'GraphExecutionStatsUpdated' end,
                'aggregate', 'graph_execution', 'aggregate_id', x.id,
                'data', jsonb_build_object(
                    'user_id', d.user_id, 'graph_id', d.graph_id, 'status', w.status, 'previous', c.status
                )
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join wanted as w on true
    left join changed as x on true
    left join platform.graph_execution_details as d on w.id = d.id
    cross join lateral (select platform.fit_an_answer(d.inputs, d.outputs, w.stats) as its) as f
)

select * from reply;
