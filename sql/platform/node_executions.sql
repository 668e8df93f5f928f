-- name: get_node_execution
-- One execution of a node, with all that went in and came out.
select
    user_id, graph_id, graph_version, graph_exec_id, node_exec_id, node_id, block_id, status,
    input_data, output_data, stats, add_time, queue_time, start_time, end_time, left_out
from platform.node_execution_details
where node_exec_id = :node_exec_id;

-- name: get_latest_node_execution
-- The newest execution of this node that is not PENDING: of the newest in every other status, the newest.
select
    d.user_id, d.graph_id, d.graph_version, d.graph_exec_id, d.node_exec_id, d.node_id, d.block_id, d.status,
    d.input_data, d.output_data, d.stats, d.add_time, d.queue_time, d.start_time, d.end_time, d.left_out
from (
    select newest.id
    from unnest(array['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED']) as known (status)
    cross join
        lateral (
            select
                x.id,
                x.number
            from platform.node_executions as x
            where x.graph_exec_id = :graph_exec_id and x.node_id = :node_id and x.status = known.status
            order by x.number desc
            limit 1
        ) as newest
    order by newest.number desc
    limit 1
) as latest
inner join platform.node_execution_details as d on latest.id = d.node_exec_id;

-- name: list_node_executions
-- The first executions of a graph execution's nodes, in the order of creation.
select
    user_id, graph_id, graph_version, graph_exec_id, node_exec_id, node_id, block_id, status,
    input_data, output_data, stats, add_time, queue_time, start_time, end_time, left_out
from platform.node_execution_details
where graph_exec_id = :graph_exec_id
order by number
limit :rows;

-- name: get_node_executions_page
-- A page of a graph execution's nodes in the order of creation, and the cursor of the next one if there is one.
with
page as (
    select
        user_id, graph_id, graph_version, graph_exec_id, node_exec_id, node_id, block_id, status,
        input_data, output_data, stats, add_time, queue_time, start_time, end_time, left_out, number
    from platform.node_execution_details
    where graph_exec_id = :graph_exec_id and number > coalesce(:cursor::text::bigint, 0)
    order by number
    limit :limit
),

next_page as (
    select last.number
    from (select max(p.number) as number from page as p) as last
    where exists (
        select 1
        from platform.node_executions as x
        where x.graph_exec_id = :graph_exec_id and x.number > last.number
    )
)

select
    jsonb_build_array(
        (select coalesce(jsonb_agg(to_jsonb(p) - 'number' order by p.number), '[]'::jsonb) from page as p),
        (select n.number::text from next_page as n)
    ) as page;

-- name: update_node_execution_status
-- Locks the execution and judges the transition. A refused one changes nothing; given stats replace those of the same
-- key, also when the status stays; the start is stamped once, the end at every end and taken back by a resume.
with
current as (
    select
        id,
        status,
        input_data,
        stats,
        queue_time,
        start_time,
        end_time,
        platform.may_become(status, :status) as moves,
        status = :status as stays
    from platform.node_executions
    where id = :node_exec_id
    for no key update
),

wanted as (
    select
        c.id,
        case when c.moves then :status else c.status end as status,
        case
            when c.moves and :execution_data::jsonb <> '{}'::jsonb then :execution_data::jsonb
            else c.input_data
        end as input_data,
        case
            when (c.moves or c.stays) and :stats::jsonb <> '{}'::jsonb
                then coalesce(c.stats, '{}'::jsonb) || :stats::jsonb
            else c.stats
        end as stats,
        case when c.moves and :status = 'QUEUED' then clock_timestamp() else c.queue_time end as queue_time,
        case
            when c.moves and :status = 'RUNNING' then coalesce(c.start_time, clock_timestamp())
            else c.start_time
        end as start_time,
        case
            when not c.moves then c.end_time
            when :status in ('COMPLETED', 'FAILED', 'CANCELED') then clock_timestamp()
        end as end_time
    from current as c
),

changed as (
    update platform.node_executions as x
    set
        status = w.status,
        input_data = w.input_data,
        stats = w.stats,
        queue_time = w.queue_time,
        start_time = w.start_time,
        end_time = w.end_time
    from wanted as w
    inner join current as c on w.id = c.id
    where x.id = w.id and (c.moves or w.stats is distinct from c.stats)
    returning x.id
),

reply as (
    select
        d.user_id,
        d.graph_id,
        d.graph_version,
        d.graph_exec_id,
        d.node_exec_id,
        d.node_id,
        d.block_id,
        w.status,
        case when f.its then w.input_data else '{}'::jsonb end as input_data,
        case when f.its then d.output_data else '{}'::jsonb end as output_data,
        case when f.its then w.stats end as stats,
        d.add_time,
        w.queue_time,
        w.start_time,
        w.end_time,
        case when f.its then '[]'::jsonb else '["input_data", "output_data", "stats"]'::jsonb end as left_out,
        case
            when c.id is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no node execution %L', :node_exec_id),
                'details', jsonb_build_object('node_exec_id', :node_exec_id)
            )
        end as error,
        case
            when x.id is not null then jsonb_build_array(jsonb_build_object(
                'type', case when c.moves then 'NodeExecutionStatusChanged' else 'NodeExecutionStatsUpdated' end,
                'aggregate', 'node_execution', 'aggregate_id', x.id,
                'data', jsonb_build_object(
                    'user_id', d.user_id, 'graph_id', d.graph_id, 'graph_exec_id', d.graph_exec_id,
                    'node_id', d.node_id, 'status', w.status, 'previous', c.status
                )
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join wanted as w on true
    left join changed as x on true
    left join platform.node_execution_details as d on w.id = d.node_exec_id
    cross join lateral (select platform.fit_an_answer(w.input_data, d.output_data, w.stats) as its) as f
)

select * from reply;

-- name: update_node_execution_status_batch
-- The same for many at once, locked in the order of their ids. An unknown id leaves all of them as they are.
with
given as (
    select
        u.item ->> 'node_exec_id' as id,
        u.item ->> 'status' as status,
        nullif(u.item -> 'execution_data', 'null'::jsonb) as execution_data,
        nullif(u.item -> 'stats', 'null'::jsonb) as stats,
        u.place
    from jsonb_array_elements(:execution_updates::jsonb) with ordinality as u (item, place)
),

current as (
    select
        x.id,
        x.status,
        x.input_data,
        x.stats,
        x.queue_time,
        x.start_time,
        x.end_time,
        platform.may_become(x.status, g.status) as moves,
        x.status = g.status as stays
    from platform.node_executions as x
    inner join given as g on x.id = g.id
    order by x.id collate "C"
    for no key update of x
),

unknown as (
    select jsonb_agg(g.id order by g.place) as ids
    from given as g
    where g.id not in (select c.id from current as c)
),

wanted as (
    select
        c.id,
        g.place,
        case when c.moves then g.status else c.status end as status,
        case
            when c.moves and g.execution_data <> '{}'::jsonb then g.execution_data
            else c.input_data
        end as input_data,
        case
            when (c.moves or c.stays) and g.stats <> '{}'::jsonb
                then coalesce(c.stats, '{}'::jsonb) || g.stats
            else c.stats
        end as stats,
        case when c.moves and g.status = 'QUEUED' then clock_timestamp() else c.queue_time end as queue_time,
        case
            when c.moves and g.status = 'RUNNING' then coalesce(c.start_time, clock_timestamp())
            else c.start_time
        end as start_time,
        case
            when not c.moves then c.end_time
            when g.status in ('COMPLETED', 'FAILED', 'CANCELED') then clock_timestamp()
        end as end_time
    from current as c
    inner join given as g on c.id = g.id
),

changed as (
    update platform.node_executions as x
    set
        status = w.status,
        input_data = w.input_data,
        stats = w.stats,
        queue_time = w.queue_time,
        start_time = w.start_time,
        end_time = w.end_time
    from wanted as w
    inner join current as c on w.id = c.id
    where
        x.id = w.id
        and (c.moves or w.stats is distinct from c.stats)
        and (select u.ids from unknown as u) is null
    returning x.id
),

fitting as (
    select
        coalesce(sum(
            octet_length(w.input_data::text) + octet_length(d.output_data::text)
            + coalesce(octet_length(w.stats::text), 0)
        ), 0) <= 98304 as its
    from wanted as w
    inner join platform.node_execution_details as d on w.id = d.node_exec_id
),

reply as (
    select
        coalesce(
            jsonb_agg(
                to_jsonb(d) - 'number' || jsonb_build_object(
                    'status', w.status, 'input_data', w.input_data, 'stats', w.stats,
                    'queue_time', w.queue_time, 'start_time', w.start_time, 'end_time', w.end_time
                ) || case
                    when f.its then '{}'::jsonb
                    else jsonb_build_object(
                        'input_data', '{}'::jsonb, 'output_data', '{}'::jsonb, 'stats', null,
                        'left_out', '["input_data", "output_data", "stats"]'::jsonb
                    )
                end order by w.place
            ), '[]'::jsonb
        ) as result,
        (
            select
                jsonb_build_object(
                    'error', 'NotFoundError',
                    'message', format('there are no node executions %s; nothing changed', u.ids),
                    'details', jsonb_build_object('node_exec_ids', u.ids)
                )
            from unknown as u
            where u.ids is not null
        ) as error,
        jsonb_agg(jsonb_build_object(
            'type', case when c.moves then 'NodeExecutionStatusChanged' else 'NodeExecutionStatsUpdated' end,
            'aggregate', 'node_execution', 'aggregate_id', x.id,
            'data', jsonb_build_object(
                'user_id', d.user_id, 'graph_id', d.graph_id, 'graph_exec_id', d.graph_exec_id,
                'node_id', d.node_id, 'status', w.status, 'previous', c.status
            )
        ) order by w.place) filter (where x.id is not null) as events
    from wanted as w
    inner join current as c on w.id = c.id
    inner join platform.node_execution_details as d on w.id = d.node_exec_id
    left join changed as x on w.id = x.id
    cross join fitting as f
)

select * from reply;

-- name: update_node_execution_stats
-- Locks the execution and merges the given stats into its own: given keys replace. The status stays as it is.
with
current as (
    select
        id,
        stats,
        coalesce(stats, '{}'::jsonb) || :stats::jsonb as merged
    from platform.node_executions
    where id = :node_exec_id
    for no key update
),

changed as (
    update platform.node_executions as x
    set stats = c.merged
    from current as c
    where x.id = c.id and c.merged is distinct from coalesce(c.stats, '{}'::jsonb)
    returning x.id
),

reply as (
    select
        d.user_id,
        d.graph_id,
        d.graph_version,
        d.graph_exec_id,
        d.node_exec_id,
        d.node_id,
        d.block_id,
        d.status,
        case when f.its then d.input_data else '{}'::jsonb end as input_data,
        case when f.its then d.output_data else '{}'::jsonb end as output_data,
        case when f.its and x.id is not null then c.merged when f.its then c.stats end as stats,
        d.add_time,
        d.queue_time,
        d.start_time,
        d.end_time,
        case when f.its then '[]'::jsonb else '["input_data", "output_data", "stats"]'::jsonb end as left_out,
        case
            when c.id is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no node execution %L', :node_exec_id),
                'details', jsonb_build_object('node_exec_id', :node_exec_id)
            )
        end as error,
        case
            when x.id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'NodeExecutionStatsUpdated', 'aggregate', 'node_execution', 'aggregate_id', x.id,
                'data', jsonb_build_object(
                    'user_id', d.user_id, 'graph_id', d.graph_id, 'graph_exec_id', d.graph_exec_id,
                    'node_id', d.node_id, 'status', d.status, 'previous', d.status
                )
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join changed as x on true
    left join platform.node_execution_details as d on c.id = d.node_exec_id
    cross join lateral (select platform.fit_an_answer(d.input_data, d.output_data, c.merged) as its) as f
)

select * from reply;

-- name: upsert_execution_output
-- Locks the execution and appends what its pin emitted: nothing emitted before is touched.
with
current as (
    select
        id,
        graph_exec_id,
        node_id
    from platform.node_executions
    where id = :node_exec_id
    for no key update
),

emitted as (
    insert into platform.node_outputs (node_exec_id, name, data)
    select
        c.id,
        :output_name as name,
        coalesce(:output_data::jsonb, 'null'::jsonb) as data
    from current as c
    returning node_exec_id
),

reply as (
    select
        null::jsonb as result,
        case
            when c.id is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no node execution %L', :node_exec_id),
                'details', jsonb_build_object('node_exec_id', :node_exec_id)
            )
        end as error,
        case
            when o.node_exec_id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'NodeExecutionOutputAdded', 'aggregate', 'node_execution', 'aggregate_id', o.node_exec_id,
                'data', jsonb_build_object(
                    'graph_exec_id', c.graph_exec_id, 'node_id', c.node_id, 'output_name', :output_name::text
                )
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join emitted as o on true
)

select * from reply;

-- name: lock_open_node_execution
-- The oldest pending execution of this node that lacks this pin.
-- scans: the pending executions of one node that have the pin already, in the order of creation.
select
    id as node_exec_id,
    graph_exec_id,
    node_id,
    status,
    input_data
from platform.node_executions
where
    graph_exec_id = :graph_exec_id
    and node_id = :node_id
    and status = 'PENDING'
    and not input_data ? :input_name
order by number
limit 1
for no key update;

-- name: lock_node_execution
-- This execution as it stands, of whichever node: a filter on more than its id could mislead the planner.
select
    id as node_exec_id,
    graph_exec_id,
    node_id,
    status,
    input_data
from platform.node_executions
where id = :node_exec_id
for no key update;

-- name: fill_input
-- One more pin of an execution.
update platform.node_executions
set input_data = input_data || jsonb_build_object(:input_name::text, :input_data::jsonb)
where id = :node_exec_id;

-- name: insert_node_execution
-- A pending execution with its first pin; none when the node is not of the graph that is executed.
insert into platform.node_executions (id, graph_exec_id, node_id, edge, status, input_data)
select
    :node_exec_id as id,
    e.id as graph_exec_id,
    n.id as node_id,
    platform.edge_of(b.type) as edge,
    'PENDING' as status,
    jsonb_build_object(:input_name::text, :input_data::jsonb) as input_data
from platform.graph_executions as e
inner join platform.nodes as n on e.graph_id = n.graph_id and e.graph_version = n.graph_version
inner join platform.blocks as b on n.block_id = b.id
where e.id = :graph_exec_id and n.id = :node_id;

-- name: get_block_error_stats
-- Of each block that failed within seven days: how often, by the first word of the error, and how often it ran in all.
-- scans: it counts whatever a week holds, and that is what the method is for; it is declared slow.
select
    t.block_id,
    t.error_type,
    t.total_executions,
    t.executions as failed_executions
from (
    select
        n.block_id,
        f.error_type,
        count(*) as executions,
        (sum(count(*)) over (partition by n.block_id))::bigint as total_executions
    from platform.node_executions as x
    inner join platform.nodes as n on x.node_id = n.id
    cross join
        lateral (
            select
                case
                    when x.status = 'FAILED'
                        then left(substring(coalesce(x.stats ->> 'error', '') from '^[^:[:space:]]*'), 200)
                end as error_type
        ) as f
    where
        x.add_time >= (select clock_timestamp() - interval '7 days')
        and x.status <> 'PENDING'
    group by n.block_id, f.error_type
) as t
where t.error_type is not null
order by t.block_id, t.error_type;
