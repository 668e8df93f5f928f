-- name: get_node
-- A node with its block and its links.
select
    id, block_id, input_default, metadata, input_links, output_links,
    graph_id, graph_version, webhook_id, webhook, block
from platform.node_details
where id = :node_id;

-- name: get_connected_output_nodes
-- The nodes that this output feeds, each with the link that leads there, in the order of the graph's links.
select
    coalesce(
        jsonb_agg(jsonb_build_array(to_jsonb(n) - 'position', platform.as_link(l)) order by l.position), '[]'::jsonb
    ) as connected
from platform.links as l
inner join platform.node_details as n on l.sink_id = n.id
where l.source_id = :node_id and l.source_name = :output_name;

-- name: list_graph
-- Locks the version and the graphs it runs, and makes those visible to everybody that are not yet.
with
current as (
    select
        g.id,
        g.version,
        g.is_listed
    from platform.graphs as g
    where
        (g.id, g.version) in (
            select :graph_id::text, :version::bigint
            union all
            select s.subgraph_id, s.subgraph_version
            from platform.subgraphs as s
            where s.graph_id = :graph_id and s.graph_version = :version::bigint
        )
    order by g.id collate "C", g.version
    for no key update
),

listed as (
    update platform.graphs as g
    set is_listed = true
    from current as c
    where g.id = c.id and g.version = c.version and not c.is_listed
    returning g.id, g.version
),

reply as (
    select
        null::jsonb as result,
        case
            when (select count(*) from current) = 0 then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no graph %L version %s', :graph_id, :version::bigint),
                'details', jsonb_build_object('graph_id', :graph_id, 'version', :version::bigint)
            )
        end as error,
        (
            select
                jsonb_agg(jsonb_build_object(
                    'type', 'GraphListed', 'aggregate', 'graph', 'aggregate_id', l.id,
                    'data', jsonb_build_object('version', l.version)
                ) order by l.id, l.version)
            from listed as l
        ) as events
)

select * from reply;

-- name: find_graph
-- The newest version within the asked ones that this user may see: an owner all, everybody else the listed ones.
select
    g.id,
    g.version,
    g.is_active,
    g.name,
    g.description,
    g.instructions,
    g.recommended_schedule_cron,
    g.nodes,
    g.links,
    g.forked_from_id,
    g.forked_from_version,
    g.user_id,
    case
        when :include_subgraphs
            then (
                select coalesce(jsonb_agg(to_jsonb(d) order by s.position), '[]'::jsonb)
                from platform.subgraphs as s
                inner join platform.graph_details as d on s.subgraph_id = d.id and s.subgraph_version = d.version
                where s.graph_id = g.id and s.graph_version = g.version
            )
        else '[]'::jsonb
    end as sub_graphs
from platform.graph_details as g
where
    g.id = :graph_id
    and g.version between coalesce(:version::bigint, 1) and coalesce(:version::bigint, 2147483647)
    and (g.user_id = :user_id or g.is_listed)
order by g.version desc
limit 1;

-- name: get_graph_metadata
-- What the newest version is that this user may see: an owner all, everybody else the listed ones.
select
    id, version, name, description, is_active, user_id, created_at
from platform.graphs
where id = :graph_id and (user_id = :user_id or is_listed)
order by version desc
limit 1;

-- name: user_exists
-- Whether this user is known.
select count(*) = 1 as known
from platform.users
where id = :user_id;

-- name: list_latest_versions
-- Of each of these graphs that exists: its newest version and its owner.
select distinct on (g.id)
    g.id,
    g.version,
    g.user_id
from platform.graphs as g
where g.id = any(:graph_ids::text[])
order by g.id asc, g.version desc;

-- name: insert_blocks
-- Blocks become known once; a type other than STANDARD is learnt when a file tells it, and never forgotten.
with
given as (
    select distinct on (b.id)
        b.id,
        b.name,
        b.type
    from jsonb_to_recordset(:blocks::jsonb) as b (id text, name text, type text)
    order by b.id asc, b.type = 'STANDARD' asc
),

learnt as (
    update platform.blocks as b
    set type = g.type
    from given as g
    where b.id = g.id and b.type = 'STANDARD' and g.type <> 'STANDARD'
)

insert into platform.blocks (id, name, type)
select g.id, g.name, g.type
from given as g
order by g.id
on conflict (id) do nothing;

-- name: insert_graphs
-- New versions of graphs, without what is in them.
insert into platform.graphs (
    id, version, user_id, name, description, is_active,
    instructions, recommended_schedule_cron, forked_from_id, forked_from_version
)
select
    g.id,
    g.version,
    :user_id,
    g.name,
    g.description,
    g.is_active,
    g.instructions,
    g.recommended_schedule_cron,
    g.forked_from_id,
    g.forked_from_version
from jsonb_to_recordset(:graphs::jsonb) as g (
    id text, version bigint, name text, description text, is_active boolean,
    instructions text, recommended_schedule_cron text, forked_from_id text, forked_from_version bigint
);

-- name: insert_nodes
-- Those nodes whose id is still free, in the order of their ids: two imports of one file wait for each other in turn.
insert into platform.nodes (id, graph_id, graph_version, position, block_id, input_default, metadata)
select n.id, n.graph_id, n.graph_version, n.position, n.block_id, n.input_default, n.metadata
from
    jsonb_to_recordset(:nodes::jsonb)
        as n (
            id text,
            graph_id text,
            graph_version bigint,
            position bigint,
            block_id text,
            input_default jsonb,
            metadata jsonb
        )
order by n.id, n.position
on conflict (id) do nothing;

-- name: list_places
-- Which of these nodes now stands where.
select
    n.id,
    n.graph_id,
    n.graph_version
from platform.nodes as n
where n.id = any(:node_ids::text[]);

-- name: insert_links
-- The links of new graphs; the same link twice in a graph is one.
insert into platform.links (
    graph_id, graph_version, position, id, source_id, source_name, sink_id, sink_name, is_static
)
select distinct on (l.source_id, l.source_name, l.sink_id, l.sink_name, l.is_static)
    l.graph_id,
    l.graph_version,
    l.position,
    l.id,
    l.source_id,
    l.source_name,
    l.sink_id,
    l.sink_name,
    l.is_static
from
    jsonb_to_recordset(:links::jsonb)
        as l (
            graph_id text, graph_version bigint, position bigint, id text,
            source_id text, source_name text, sink_id text, sink_name text, is_static boolean
        )
order by l.source_id, l.source_name, l.sink_id, l.sink_name, l.is_static, l.position;

-- name: insert_subgraphs
-- The graphs that a version brought along, in their order.
insert into platform.subgraphs (graph_id, graph_version, position, subgraph_id, subgraph_version)
select :graph_id, :version::bigint, s.position, s.id, s.version
from jsonb_to_recordset(:subgraphs::jsonb) as s (id text, version bigint, position bigint);

-- name: insert_referenced_subgraphs
-- The owner's graphs that the AGENT nodes of a version name, and those these run in turn.
insert into platform.subgraphs (graph_id, graph_version, position, subgraph_id, subgraph_version)
with
named as (
    select distinct
        g.id,
        g.version
    from platform.nodes as n
    inner join platform.graphs as g
        on
            n.input_default ->> 'graph_id' = g.id
            and n.input_default ->> 'graph_version' = g.version::text
            and g.user_id = :user_id
    where
        n.graph_id = :graph_id
        and n.graph_version = :version::bigint
        and (
            select b.type from platform.blocks as b
            where b.id = n.block_id
        ) = 'AGENT'
),

reached as (
    select
        id,
        version
    from named
    union
    select
        s.subgraph_id,
        s.subgraph_version
    from named as n
    inner join platform.subgraphs as s on n.id = s.graph_id and n.version = s.graph_version
)

select
    :graph_id,
    :version::bigint,
    row_number() over (order by r.id, r.version) as position,
    r.id,
    r.version
from reached as r
where (r.id, r.version) <> (:graph_id, :version::bigint);
