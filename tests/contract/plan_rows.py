"""The 20 000 rows of each table on which plans are judged."""

from __future__ import annotations

from datetime import UTC, datetime

TODAY = datetime.now(UTC).date()
DATA = f"""
insert into accounts.accounts (account_id, owner, balance)
select 'account-' || n, 'Ada', 1000 from generate_series(1, 20000) as n;
insert into accounts.entries (account_id, amount, balance, note)
select 'account-' || case when n <= 4000 then 1 else n end, 1, n, '' from generate_series(1, 20000) as n;
insert into platform.users (id, email) select 'user-' || n, n || '@example.com' from generate_series(1, 20000) as n;
insert into platform.balances (user_id, balance) select 'user-' || n, 1000 from generate_series(1, 20000) as n;
insert into platform.credit_transactions (user_id, amount, balance)
select 'user-' || n % 100 + 1, 1, n from generate_series(1, 20000) as n;
insert into platform.user_integrations (user_id, sealed)
select 'user-' || n, 'sealed-' || n from generate_series(1, 20000) as n;
insert into platform.user_metadata (user_id, sealed)
select 'user-' || n, 'sealed-' || n from generate_series(1, 20000) as n;
insert into platform.notification_preferences (user_id, system, review, execution, marketing, daily_limit)
select 'user-' || n, true, true, true, false, 3 from generate_series(1, 20000) as n;
insert into platform.blocks (id) select 'block-' || n from generate_series(1, 300) as n;
insert into platform.graphs (id, version, user_id, name, description, is_active, is_listed)
select 'graph-' || g, v, 'user-' || g % 1000 + 1, '', '', true, v = 1
from generate_series(1, 4000) as g, generate_series(1, 5) as v;
insert into platform.nodes (id, graph_id, graph_version, position, block_id, input_default, metadata)
select
    'node-' || g || '-' || v || '-' || p, 'graph-' || g, v, p,
    case
        when p = 0 then 'c0a8e994-ebf1-4a9c-a4d8-89d09c86741b'
        when g % 10 = 7 then 'e189baac-8c20-45a1-94a7-55177ea42565'
        else 'block-' || g % 300 + 1
    end,
    case
        when p = 0 then '{{"name": "question", "value": ""}}'::jsonb
        else jsonb_build_object('graph_id', 'graph-' || g % 3000 + 1000, 'graph_version', 1)
    end,
    '{{}}'
from generate_series(1, 4000) as g, generate_series(1, 5) as v, generate_series(0, 1) as p;
insert into platform.links (
    graph_id, graph_version, position, id, source_id, source_name, sink_id, sink_name, is_static
)
select
    'graph-' || g, v, 0, '', 'node-' || g || '-' || v || '-0', 'result', 'node-' || g || '-' || v || '-1', 'in', false
from generate_series(1, 4000) as g, generate_series(1, 5) as v;
insert into platform.subgraphs (graph_id, graph_version, position, subgraph_id, subgraph_version)
select 'graph-' || g, v, 0, 'graph-' || g % 3000 + 1000, v
from generate_series(1, 4000) as g, generate_series(1, 5) as v;
insert into platform.graph_executions (id, user_id, graph_id, graph_version, preset_id, status, created_at)
select
    'exec-' || n, 'user-' || case when n <= 4000 then 1 else n % 1000 + 1 end, 'graph-' || n % 20 + 1, n % 5 + 1,
    case when n % 10 = 0 then 'preset-' || n % 100 end, 'RUNNING', '2026-01-01Z'::timestamptz - n * interval '1 minute'
from generate_series(1, 20000) as n;
insert into platform.node_executions (id, graph_exec_id, node_id, edge, status, input_data)
select
    'run-' || n, 'exec-' || e, 'node-' || e % 20 + 1 || '-' || e % 5 + 1 || '-' || n % 2,
    case when n % 2 = 0 then 'INPUT' end, 'COMPLETED', jsonb_build_object('in', repeat('x', 500))
from generate_series(1, 20000) as n, lateral (select (n - 1) / 10 + 1 as e) as of_ten
union all
select
    'many-' || n, 'exec-1', 'node-2-2-1', null, case when n > 2950 then 'PENDING' else 'QUEUED' end,
    jsonb_build_object('in', repeat('x', 500))
from generate_series(1, 3000) as n;
insert into platform.node_outputs (node_exec_id, name, data)
select case when n <= 50 then 'many-1' else 'run-' || n end, 'result', '1' from generate_series(1, 20000) as n;
insert into platform.execution_data (user_id, key, node_exec_id, data)
select 'user-' || case when n <= 4000 then 1 else n end, 'key-' || n, 'run-' || n, '1'
from generate_series(1, 20000) as n;
insert into platform.notification_batches (user_id, type)
select 'user-' || n, type from generate_series(1, 20000) as n, unnest(array['SYSTEM', 'EXECUTION']) as type;
insert into platform.notifications (user_id, type, created_at, data)
select 'user-' || case when n <= 4000 then 1 else n end, 'EXECUTION', '2026-01-01Z', '{{}}'
from generate_series(1, 20000) as n;
insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, at, outcome, events, seq)
select
    day, md5('receipt-' || n)::uuid, '', '', '', 'infinity', '2026-01-01Z'::timestamptz + n * interval '1 minute', '',
    '[]', n
from generate_series(1, 20000) as n, unnest(array['{TODAY}', '1970-01-01']::date[]) as day;
insert into rowcall.dead_letters (
    id, caller, args_hash, routing_key, method, reason, error, fingerprint, attempts, first_at, last_at, worker, state,
    body, traceback
)
select
    md5('receipt-' || n)::uuid, '', '', 'write.platform.get_node', 'platform.get_node', 'internal', 'Error: ' || n,
    n % 100, 1, at, at, 'here:1', case when n <= 40 then 'open' else 'resolved' end, '', ''
from generate_series(1, 20000) as n, lateral (select '2026-01-01Z'::timestamptz + n * interval '1 minute') as l (at);
insert into rowcall.attempts (id, caller, args_hash, count, run, at)
select md5('receipt-' || n)::uuid, 'tests', '', 1, gen_random_uuid(), '2026-01-01Z'::timestamptz + n * interval '1m'
from generate_series(1, 20000) as n;
analyze;
"""
