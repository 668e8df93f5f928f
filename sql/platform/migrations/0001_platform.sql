-- The platform family: users and their credits, agent graphs, and the executions of those graphs.
-- Ids are opaque text: the ids of nodes and graphs come from files that others made.

create schema platform;

-- users and credits -------------------------------------------------------------------------------------------------

create table platform.users (
    id text not null,
    email text not null,
    name text,
    created_at timestamptz not null default clock_timestamp(),
    constraint users_pkey primary key (id),
    constraint users_email_key unique (email)
);

create table platform.balances (
    user_id text not null,
    balance bigint not null,
    constraint balances_pkey primary key (user_id),
    constraint balances_user_fkey foreign key (user_id) references platform.users (id),
    constraint balances_not_negative check (balance >= 0)
);

-- Append only. `amount` is signed, `balance` is the one after it: the sum of a user's amounts is the user's balance.
create table platform.credit_transactions (
    number bigint not null generated always as identity,
    user_id text not null,
    amount bigint not null,
    balance bigint not null,
    reason text not null default '',
    metadata jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    constraint credit_transactions_pkey primary key (number),
    constraint credit_transactions_user_fkey foreign key (user_id) references platform.users (id),
    constraint credit_transactions_moves_money check (amount <> 0),
    constraint credit_transactions_not_negative check (balance >= 0)
);

create index credit_transactions_user_id_number_idx on platform.credit_transactions (user_id, number);

-- graphs --------------------------------------------------------------------------------------------------------------

create table platform.blocks (
    id text not null,
    name text not null default '',
    type text not null default 'STANDARD',
    constraint blocks_pkey primary key (id),
    constraint blocks_type_known check (
        type in (
            'STANDARD', 'INPUT', 'OUTPUT', 'NOTE', 'WEBHOOK', 'WEBHOOK_MANUAL', 'AGENT', 'AI', 'AYRSHARE'
        )
    )
);

-- Exports name a block by its id alone, and a run's inputs and outputs are those of its INPUT and OUTPUT blocks: the
-- ids that every agent platform export uses for them are known from the start.
insert into platform.blocks (id, name, type) values
('c0a8e994-ebf1-4a9c-a4d8-89d09c86741b', 'AgentInputBlock', 'INPUT'),
('7fcd3bcb-8e1b-4e69-903d-32d3d4a92158', 'AgentShortTextInputBlock', 'INPUT'),
('90a56ffb-7024-4b2b-ab50-e26c5e5ab8ba', 'AgentLongTextInputBlock', 'INPUT'),
('96dae2bb-97a2-41c2-bd2f-13a3b5a8ea98', 'AgentNumberInputBlock', 'INPUT'),
('7e198b09-4994-47db-8b4d-952d98241817', 'AgentDateInputBlock', 'INPUT'),
('2a1c757e-86cf-4c7e-aacf-060dc382e434', 'AgentTimeInputBlock', 'INPUT'),
('95ead23f-8283-4654-aef3-10c053b74a31', 'AgentFileInputBlock', 'INPUT'),
('655d6fdf-a334-421c-b733-520549c07cd1', 'AgentDropdownInputBlock', 'INPUT'),
('cbf36ab5-df4a-43b6-8a7f-f7ed8652116e', 'AgentToggleInputBlock', 'INPUT'),
('5603b273-f41e-4020-af7d-fbc9c6a8d928', 'AgentTableInputBlock', 'INPUT'),
('d3b32f15-6fd7-40e3-be52-e083f51b19a2', 'AgentGoogleDriveFileInputBlock', 'INPUT'),
('363ae599-353e-4804-937e-b2ee3cef3da4', 'AgentOutputBlock', 'OUTPUT'),
('e189baac-8c20-45a1-94a7-55177ea42565', 'AgentExecutorBlock', 'AGENT'),
('cc10ff7b-7753-4ff2-9af6-9399b1a7eddc', 'NoteBlock', 'NOTE');

-- A version of a graph never changes once it stands; all versions of an id have one owner.
create table platform.graphs (
    id text not null,
    version bigint not null,
    user_id text not null,
    name text not null,
    description text not null,
    is_active boolean not null,
    is_listed boolean not null default false,
    instructions text,
    recommended_schedule_cron text,
    forked_from_id text,
    forked_from_version bigint,
    created_at timestamptz not null default clock_timestamp(),
    constraint graphs_pkey primary key (id, version),
    constraint graphs_user_fkey foreign key (user_id) references platform.users (id),
    constraint graphs_version_positive check (version > 0)
);

create index graphs_user_id_idx on platform.graphs (user_id);

create table platform.nodes (
    id text not null,
    graph_id text not null,
    graph_version bigint not null,
    position bigint not null,
    block_id text not null,
    input_default jsonb not null,
    metadata jsonb not null,
    constraint nodes_pkey primary key (id),
    constraint nodes_graph_id_graph_version_position_key unique (graph_id, graph_version, position),
    constraint nodes_graph_fkey foreign key (graph_id, graph_version) references platform.graphs (id, version),
    constraint nodes_block_fkey foreign key (block_id) references platform.blocks (id)
);

-- The id of a link is kept as its file has it and is unique only as far as the file makes it so: nothing refers to it.
create table platform.links (
    graph_id text not null,
    graph_version bigint not null,
    position bigint not null,
    id text not null,
    source_id text not null,
    source_name text not null,
    sink_id text not null,
    sink_name text not null,
    is_static boolean not null,
    constraint links_pkey primary key (graph_id, graph_version, position),
    constraint links_graph_fkey foreign key (graph_id, graph_version) references platform.graphs (id, version),
    constraint links_source_fkey foreign key (source_id) references platform.nodes (id),
    constraint links_sink_fkey foreign key (sink_id) references platform.nodes (id)
);

create index links_source_id_source_name_idx on platform.links (source_id, source_name);
create index links_sink_id_idx on platform.links (sink_id);

-- Every graph that a version runs, however deep; written with the version, and as unchanging.
create table platform.subgraphs (
    graph_id text not null,
    graph_version bigint not null,
    position bigint not null,
    subgraph_id text not null,
    subgraph_version bigint not null,
    constraint subgraphs_pkey primary key (graph_id, graph_version, position),
    constraint subgraphs_graph_fkey foreign key (graph_id, graph_version) references platform.graphs (id, version),
    constraint subgraphs_subgraph_fkey foreign key (subgraph_id, subgraph_version)
    references platform.graphs (id, version)
);

create function platform.as_link(link platform.links) returns jsonb
language sql immutable parallel safe
return jsonb_build_object(
    'id', (link).id, 'source_id', (link).source_id, 'sink_id', (link).sink_id,
    'source_name', (link).source_name, 'sink_name', (link).sink_name, 'is_static', (link).is_static
);

create view platform.node_details with (security_invoker = true) as
select
    n.id,
    n.block_id,
    n.input_default,
    n.metadata,
    coalesce(
        (
            select jsonb_agg(platform.as_link(l) order by l.position)
            from platform.links as l
            where l.sink_id = n.id
        ), '[]'::jsonb
    ) as input_links,
    coalesce(
        (
            select jsonb_agg(platform.as_link(l) order by l.position)
            from platform.links as l
            where l.source_id = n.id
        ), '[]'::jsonb
    ) as output_links,
    n.graph_id,
    n.graph_version,
    null::text as webhook_id,
    null::jsonb as webhook,
    jsonb_build_object('id', b.id, 'name', b.name, 'type', b.type) as block,
    n.position
from platform.nodes as n
inner join platform.blocks as b on n.block_id = b.id;

create view platform.graph_details with (security_invoker = true) as
select
    g.id,
    g.version,
    g.is_active,
    g.name,
    g.description,
    g.instructions,
    g.recommended_schedule_cron,
    coalesce(
        (
            select jsonb_agg(to_jsonb(n) - 'position' order by n.position)
            from platform.node_details as n
            where n.graph_id = g.id and n.graph_version = g.version
        ), '[]'::jsonb
    ) as nodes,
    coalesce(
        (
            select jsonb_agg(platform.as_link(l) order by l.position)
            from platform.links as l
            where l.graph_id = g.id and l.graph_version = g.version
        ), '[]'::jsonb
    ) as links,
    g.forked_from_id,
    g.forked_from_version,
    g.user_id,
    g.is_listed
from platform.graphs as g;

-- executions ----------------------------------------------------------------------------------------------------------

-- Which status may follow which, for executions of graphs and of nodes alike; COMPLETED and FAILED are final.
create function platform.may_become(present text, wanted text) returns boolean
language sql immutable parallel safe
return coalesce(
    case present
        when 'PENDING' then wanted in ('QUEUED', 'RUNNING', 'FAILED', 'CANCELED')
        when 'QUEUED' then wanted in ('RUNNING', 'FAILED', 'CANCELED')
        when 'RUNNING' then wanted in ('COMPLETED', 'FAILED', 'CANCELED')
        when 'CANCELED' then wanted in ('QUEUED', 'RUNNING')
    end, false
);

-- Whether the answer of a write may hold these: answers are kept, and so bounded. Without this, an execution that holds
-- much could not change its status any more.
create function platform.fit_an_answer(first jsonb, second jsonb, third jsonb) returns boolean
language sql immutable parallel safe
return coalesce(octet_length(first::text), 0) + coalesce(octet_length(second::text), 0)
+ coalesce(octet_length(third::text), 0) <= 131072;

-- Where values of a run come in or go out: at a node of one of these types of block.
create function platform.edge_of(block_type text) returns text
language sql immutable parallel safe
return case
    when block_type in ('INPUT', 'OUTPUT') then block_type
    when block_type in ('WEBHOOK', 'WEBHOOK_MANUAL') then 'WEBHOOK'
end;

create table platform.graph_executions (
    id text not null,
    user_id text not null,
    graph_id text not null,
    graph_version bigint not null,
    preset_id text,
    status text not null,
    stats jsonb,
    created_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz,
    constraint graph_executions_pkey primary key (id),
    constraint graph_executions_user_fkey foreign key (user_id) references platform.users (id),
    constraint graph_executions_graph_fkey foreign key (graph_id, graph_version)
    references platform.graphs (id, version),
    constraint graph_executions_status_known check (
        status in ('PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED')
    )
);

-- One index for each set of filters of get_graph_executions, in the order of its pages.
create index graph_executions_user_idx on platform.graph_executions (user_id, created_at, id);
create index graph_executions_graph_idx on platform.graph_executions (user_id, graph_id, created_at, id);
create index graph_executions_graph_version_idx
on platform.graph_executions (user_id, graph_id, graph_version, created_at, id);
create index graph_executions_version_idx on platform.graph_executions (user_id, graph_version, created_at, id);
create index graph_executions_preset_idx
on platform.graph_executions (user_id, preset_id, created_at, id) where preset_id is not null;

-- `number` is the order of creation. `edge` finds the inputs and outputs of a run among all its executions: which of
-- them the block was known to be when the execution was made.
create table platform.node_executions (
    number bigint not null generated always as identity,
    id text not null,
    graph_exec_id text not null,
    node_id text not null,
    edge text,
    status text not null,
    input_data jsonb not null,
    stats jsonb,
    add_time timestamptz not null default clock_timestamp(),
    queue_time timestamptz,
    start_time timestamptz,
    end_time timestamptz,
    constraint node_executions_pkey primary key (id),
    constraint node_executions_graph_execution_fkey foreign key (graph_exec_id)
    references platform.graph_executions (id),
    constraint node_executions_node_fkey foreign key (node_id) references platform.nodes (id),
    constraint node_executions_edge_known check (edge in ('INPUT', 'OUTPUT', 'WEBHOOK')),
    constraint node_executions_status_known check (
        status in ('PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED')
    )
);

create index node_executions_graph_exec_id_number_idx on platform.node_executions (graph_exec_id, number);
create index node_executions_graph_exec_id_node_id_status_number_idx
on platform.node_executions (graph_exec_id, node_id, status, number);

create index node_executions_graph_exec_id_edge_number_idx
on platform.node_executions (graph_exec_id, edge, number) where edge is not null;

-- Append only: a pin may emit many times, and `number` is the order.
create table platform.node_outputs (
    number bigint not null generated always as identity,
    node_exec_id text not null,
    name text not null,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint node_outputs_pkey primary key (number),
    constraint node_outputs_node_execution_fkey foreign key (node_exec_id) references platform.node_executions (id)
);

create index node_outputs_node_exec_id_number_idx on platform.node_outputs (node_exec_id, number);

create view platform.node_execution_details with (security_invoker = true) as
select
    e.user_id,
    e.graph_id,
    e.graph_version,
    x.graph_exec_id,
    x.id as node_exec_id,
    x.node_id,
    n.block_id,
    x.status,
    x.input_data,
    coalesce(
        (
            select jsonb_object_agg(pin.name, pin.emitted)
            from (
                select
                    o.name,
                    jsonb_agg(o.data order by o.number) as emitted
                from platform.node_outputs as o
                where o.node_exec_id = x.id
                group by o.name
            ) as pin
        ), '{}'::jsonb
    ) as output_data,
    x.stats,
    x.add_time,
    x.queue_time,
    x.start_time,
    x.end_time,
    '[]'::jsonb as left_out,
    x.number
from platform.node_executions as x
inner join platform.graph_executions as e on x.graph_exec_id = e.id
inner join platform.nodes as n on x.node_id = n.id;

-- Name and value of an INPUT or OUTPUT block are two of its pins; what no run gave is the node's default. An input is
-- told once, the last time; an output as often as it came. What was not queued yet has nothing to tell, and 1 000 of
-- each kind are enough to look at.
create view platform.graph_execution_details with (security_invoker = true) as
select
    e.id,
    e.user_id,
    e.graph_id,
    e.graph_version,
    e.preset_id,
    e.status,
    e.created_at,
    e.started_at,
    e.ended_at,
    e.stats,
    coalesce(
        (
            select jsonb_object_agg(pin.name, pin.value order by pin.number) filter (where pin.name is not null)
            from (
                (
                    select
                        x.number,
                        coalesce(x.input_data ->> 'name', n.input_default ->> 'name') as name,
                        coalesce(x.input_data -> 'value', n.input_default -> 'value') as value
                    from platform.node_executions as x
                    inner join platform.nodes as n on x.node_id = n.id
                    where x.graph_exec_id = e.id and x.edge = 'INPUT' and x.status <> 'PENDING'
                    order by x.number
                    limit 1000
                )
                union all
                (
                    select
                        x.number,
                        'payload' as name,
                        x.input_data -> 'payload' as value
                    from platform.node_executions as x
                    where x.graph_exec_id = e.id and x.edge = 'WEBHOOK' and x.status <> 'PENDING'
                    order by x.number
                    limit 1000
                )
            ) as pin
        ), '{}'::jsonb
    ) as inputs,
    coalesce(
        (
            select jsonb_object_agg(pin.name, pin.emitted)
            from (
                select
                    o.name,
                    jsonb_agg(o.value order by o.number) as emitted
                from (
                    select
                        x.number,
                        coalesce(x.input_data ->> 'name', n.input_default ->> 'name') as name,
                        coalesce(x.input_data -> 'value', n.input_default -> 'value') as value
                    from platform.node_executions as x
                    inner join platform.nodes as n on x.node_id = n.id
                    where x.graph_exec_id = e.id and x.edge = 'OUTPUT' and x.status <> 'PENDING'
                    order by x.number
                    limit 1000
                ) as o
                where o.name is not null
                group by o.name
            ) as pin
        ), '{}'::jsonb
    ) as outputs,
    '[]'::jsonb as left_out
from platform.graph_executions as e;
