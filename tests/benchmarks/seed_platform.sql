-- An agent graph of two nodes, 1 000 users with credits, and 100 000 executions of the graph that wait for an executor.
insert into platform.users (id, email)
select 'user-' || n, 'user' || n || '@example.com' from generate_series(0, 999) as n;

insert into platform.balances (user_id, balance)
select id, 1000000000 from platform.users;

insert into platform.graphs (id, version, user_id, name, description, is_active)
values ('graph', 1, 'user-0', 'Benchmark', 'One node feeds another.', true);

insert into platform.nodes (id, graph_id, graph_version, position, block_id, input_default, metadata)
values
('node-1', 'graph', 1, 0, 'c0a8e994-ebf1-4a9c-a4d8-89d09c86741b', '{"name": "question"}', '{}'),
('node-2', 'graph', 1, 1, '363ae599-353e-4804-937e-b2ee3cef3da4', '{"name": "answer"}', '{}');

insert into platform.links (
    graph_id, graph_version, position, id, source_id, source_name, sink_id, sink_name, is_static
)
values ('graph', 1, 0, 'link-1', 'node-1', 'result', 'node-2', 'value', false);

insert into platform.graph_executions (id, user_id, graph_id, graph_version, status)
select 'run-' || n, 'user-' || n % 1000, 'graph', 1, 'QUEUED' from generate_series(0, 99999) as n;

insert into platform.node_executions (id, graph_exec_id, node_id, edge, status, input_data)
select 'step-' || n, 'run-' || n, 'node-1', 'INPUT', 'QUEUED', '{"question": "how much?"}'
from generate_series(0, 99999) as n;
