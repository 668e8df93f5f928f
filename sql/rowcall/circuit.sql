-- name: probe
-- Whether this server takes writes; where it does, something is written and made durable.
select
    case
        when pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then false
        else pg_logical_emit_message(true, 'rowcall', 'probe') is not null
    end as writable;
