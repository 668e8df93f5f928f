-- name: executions_exist_once
-- every execution was created once
select
    count(*) as found,
    :executions::bigint as wanted
from platform.graph_executions;

-- name: executions_completed
-- every execution is COMPLETED
select
    count(*) as found,
    :executions::bigint as wanted
from platform.graph_executions
where status = 'COMPLETED' and started_at <= ended_at;

-- name: nodes_ran_once
-- every node ran exactly once in every execution
select
    count(*) as found,
    :executions::bigint * :nodes::bigint as wanted
from (
    select graph_exec_id
    from platform.node_executions
    group by graph_exec_id, node_id
    having count(*) = 1
) as once;

-- name: nodes_completed
-- every node execution is COMPLETED
select
    count(*) as found,
    :executions::bigint * :nodes::bigint as wanted
from platform.node_executions
where status = 'COMPLETED' and start_time <= end_time;

-- name: outputs_exist_once
-- every output was emitted exactly once
select
    count(*) as found,
    :executions::bigint * :outputs::bigint as wanted
from (
    select node_exec_id
    from platform.node_outputs
    group by node_exec_id, name
    having count(*) = 1
) as once;

-- name: answers_correct
-- every answer is what the agent comes to without Rowcall
select
    count(*) as found,
    :executions::bigint as wanted
from platform.graph_execution_details as e
where e.outputs -> 'brief' = jsonb_build_array(:answers::jsonb -> (e.inputs ->> 'topic') -> (e.inputs ->> 'audience'));

-- name: usage_complete
-- one usage entry in the ledger for every node run
select
    count(*) as found,
    :executions::bigint * :nodes::bigint as wanted
from platform.credit_transactions
where amount < 0;

-- name: nothing_charged_twice
-- no node run was charged twice
select
    count(distinct metadata ->> 'node_exec_id') as found,
    :executions::bigint * :nodes::bigint as wanted
from platform.credit_transactions
where amount < 0;

-- name: ledger_adds_up
-- the ledger's sum is what was granted minus what was spent
select
    sum(amount)::bigint as found,
    :granted::bigint - :executions::bigint * :cost::bigint as wanted
from platform.credit_transactions;

-- name: balances_add_up
-- the balances' sum is the same
select
    sum(balance)::bigint as found,
    :granted::bigint - :executions::bigint * :cost::bigint as wanted
from platform.balances;

-- name: balances_equal_ledgers
-- every user's balance is the sum of the user's ledger
select
    count(*) as found,
    :users::bigint as wanted
from platform.balances as b
where
    b.balance = (
        select sum(t.amount)
        from platform.credit_transactions as t
        where t.user_id = b.user_id
    );

-- name: receipts_complete
-- every write left exactly one receipt
select
    count(*) as found,
    :writes::bigint as wanted
from rowcall.receipts;

-- name: count_committed_events
-- how many events were committed; live, a killed worker may have taken its last few with it
select coalesce(sum(jsonb_array_length(events)), 0)::bigint as found
from rowcall.receipts
where events is not null;
