-- What all migrations of Rowcall and of the platform family add up to. For readers: nothing reads this file but a test,
-- which compares it with the migrations. Made by `make schema`; change a migration, never this.
-- Left out: the partitions of rowcall.receipts that have a date, and the rows that migrations insert.
-- noqa: disable=all

CREATE SCHEMA platform;

CREATE SCHEMA rowcall;

CREATE TABLE platform.links (
    graph_id text NOT NULL,
    graph_version bigint NOT NULL,
    "position" bigint NOT NULL,
    id text NOT NULL,
    source_id text NOT NULL,
    source_name text NOT NULL,
    sink_id text NOT NULL,
    sink_name text NOT NULL,
    is_static boolean NOT NULL
);

CREATE FUNCTION platform.as_link(link platform.links) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_build_object('id', (link).id, 'source_id', (link).source_id, 'sink_id', (link).sink_id, 'source_name', (link).source_name, 'sink_name', (link).sink_name, 'is_static', (link).is_static);

CREATE FUNCTION platform.edge_of(block_type text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (block_type = ANY (ARRAY['INPUT'::text, 'OUTPUT'::text])) THEN block_type WHEN (block_type = ANY (ARRAY['WEBHOOK'::text, 'WEBHOOK_MANUAL'::text])) THEN 'WEBHOOK'::text ELSE NULL::text END;

CREATE FUNCTION platform.fit_an_answer(first jsonb, second jsonb, third jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((COALESCE(octet_length((first)::text), 0) + COALESCE(octet_length((second)::text), 0)) + COALESCE(octet_length((third)::text), 0)) <= 131072);

CREATE FUNCTION platform.may_become(present text, wanted text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(CASE present WHEN 'PENDING'::text THEN (wanted = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text, 'FAILED'::text, 'CANCELED'::text])) WHEN 'QUEUED'::text THEN (wanted = ANY (ARRAY['RUNNING'::text, 'FAILED'::text, 'CANCELED'::text])) WHEN 'RUNNING'::text THEN (wanted = ANY (ARRAY['COMPLETED'::text, 'FAILED'::text, 'CANCELED'::text])) WHEN 'CANCELED'::text THEN (wanted = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text])) ELSE NULL::boolean END, false);

CREATE FUNCTION rowcall.outcome_word(outcome text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (outcome ~~ '"result"%'::text) THEN 'done'::text ELSE "substring"(outcome, '^"error": *"(\w+)"'::text) END;

CREATE FUNCTION rowcall.receipt_day(id uuid) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((id)::text !~ '^.{14}7.{4}[89ab]'::text) THEN '1970-01-01'::date ELSE ((to_timestamp(((((((('x'::text || substr((id)::text, 1, 8)) || substr((id)::text, 10, 4)))::bit(48))::bigint)::numeric / 1000.0))::double precision) AT TIME ZONE 'UTC'::text))::date END;

CREATE FUNCTION rowcall.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    raise exception 'rowcall.audit only grows: nothing in it is changed or deleted';
end
$$;

CREATE TABLE platform.balances (
    user_id text NOT NULL,
    balance bigint NOT NULL,
    CONSTRAINT balances_not_negative CHECK ((balance >= 0))
);

CREATE TABLE platform.blocks (
    id text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    type text DEFAULT 'STANDARD'::text NOT NULL,
    CONSTRAINT blocks_type_known CHECK ((type = ANY (ARRAY['STANDARD'::text, 'INPUT'::text, 'OUTPUT'::text, 'NOTE'::text, 'WEBHOOK'::text, 'WEBHOOK_MANUAL'::text, 'AGENT'::text, 'AI'::text, 'AYRSHARE'::text])))
);

CREATE TABLE platform.credit_transactions (
    number bigint NOT NULL,
    user_id text NOT NULL,
    amount bigint NOT NULL,
    balance bigint NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT credit_transactions_moves_money CHECK ((amount <> 0)),
    CONSTRAINT credit_transactions_not_negative CHECK ((balance >= 0))
);

ALTER TABLE platform.credit_transactions ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME platform.credit_transactions_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE platform.execution_data (
    user_id text NOT NULL,
    key text NOT NULL,
    node_exec_id text NOT NULL,
    data jsonb NOT NULL,
    previous jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE platform.graphs (
    id text NOT NULL,
    version bigint NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    is_active boolean NOT NULL,
    is_listed boolean DEFAULT false NOT NULL,
    instructions text,
    recommended_schedule_cron text,
    forked_from_id text,
    forked_from_version bigint,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT graphs_version_positive CHECK ((version > 0))
);

CREATE TABLE platform.nodes (
    id text NOT NULL,
    graph_id text NOT NULL,
    graph_version bigint NOT NULL,
    "position" bigint NOT NULL,
    block_id text NOT NULL,
    input_default jsonb NOT NULL,
    metadata jsonb NOT NULL
);

CREATE VIEW platform.node_details WITH (security_invoker='true') AS
 SELECT n.id,
    n.block_id,
    n.input_default,
    n.metadata,
    COALESCE(( SELECT jsonb_agg(platform.as_link(l.*) ORDER BY l."position") AS jsonb_agg
           FROM platform.links l
          WHERE (l.sink_id = n.id)), '[]'::jsonb) AS input_links,
    COALESCE(( SELECT jsonb_agg(platform.as_link(l.*) ORDER BY l."position") AS jsonb_agg
           FROM platform.links l
          WHERE (l.source_id = n.id)), '[]'::jsonb) AS output_links,
    n.graph_id,
    n.graph_version,
    NULL::text AS webhook_id,
    NULL::jsonb AS webhook,
    jsonb_build_object('id', b.id, 'name', b.name, 'type', b.type) AS block,
    n."position"
   FROM (platform.nodes n
     JOIN platform.blocks b ON ((n.block_id = b.id)));

CREATE VIEW platform.graph_details WITH (security_invoker='true') AS
 SELECT g.id,
    g.version,
    g.is_active,
    g.name,
    g.description,
    g.instructions,
    g.recommended_schedule_cron,
    COALESCE(( SELECT jsonb_agg((to_jsonb(n.*) - 'position'::text) ORDER BY n."position") AS jsonb_agg
           FROM platform.node_details n
          WHERE ((n.graph_id = g.id) AND (n.graph_version = g.version))), '[]'::jsonb) AS nodes,
    COALESCE(( SELECT jsonb_agg(platform.as_link(l.*) ORDER BY l."position") AS jsonb_agg
           FROM platform.links l
          WHERE ((l.graph_id = g.id) AND (l.graph_version = g.version))), '[]'::jsonb) AS links,
    g.forked_from_id,
    g.forked_from_version,
    g.user_id,
    g.is_listed
   FROM platform.graphs g;

CREATE TABLE platform.graph_executions (
    id text NOT NULL,
    user_id text NOT NULL,
    graph_id text NOT NULL,
    graph_version bigint NOT NULL,
    preset_id text,
    status text NOT NULL,
    stats jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT graph_executions_status_known CHECK ((status = ANY (ARRAY['PENDING'::text, 'QUEUED'::text, 'RUNNING'::text, 'COMPLETED'::text, 'FAILED'::text, 'CANCELED'::text])))
);

CREATE TABLE platform.node_executions (
    number bigint NOT NULL,
    id text NOT NULL,
    graph_exec_id text NOT NULL,
    node_id text NOT NULL,
    edge text,
    status text NOT NULL,
    input_data jsonb NOT NULL,
    stats jsonb,
    add_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    queue_time timestamp with time zone,
    start_time timestamp with time zone,
    end_time timestamp with time zone,
    CONSTRAINT node_executions_edge_known CHECK ((edge = ANY (ARRAY['INPUT'::text, 'OUTPUT'::text, 'WEBHOOK'::text]))),
    CONSTRAINT node_executions_status_known CHECK ((status = ANY (ARRAY['PENDING'::text, 'QUEUED'::text, 'RUNNING'::text, 'COMPLETED'::text, 'FAILED'::text, 'CANCELED'::text])))
);

CREATE VIEW platform.graph_execution_details WITH (security_invoker='true') AS
 SELECT e.id,
    e.user_id,
    e.graph_id,
    e.graph_version,
    e.preset_id,
    e.status,
    e.created_at,
    e.started_at,
    e.ended_at,
    e.stats,
    COALESCE(( SELECT jsonb_object_agg(pin.name, pin.value ORDER BY pin.number) FILTER (WHERE (pin.name IS NOT NULL)) AS jsonb_object_agg
           FROM (( SELECT x.number,
                    COALESCE((x.input_data ->> 'name'::text), (n.input_default ->> 'name'::text)) AS name,
                    COALESCE((x.input_data -> 'value'::text), (n.input_default -> 'value'::text)) AS value
                   FROM (platform.node_executions x
                     JOIN platform.nodes n ON ((x.node_id = n.id)))
                  WHERE ((x.graph_exec_id = e.id) AND (x.edge = 'INPUT'::text) AND (x.status <> 'PENDING'::text))
                  ORDER BY x.number
                 LIMIT 1000)
                UNION ALL
                ( SELECT x.number,
                    'payload'::text AS name,
                    (x.input_data -> 'payload'::text) AS value
                   FROM platform.node_executions x
                  WHERE ((x.graph_exec_id = e.id) AND (x.edge = 'WEBHOOK'::text) AND (x.status <> 'PENDING'::text))
                  ORDER BY x.number
                 LIMIT 1000)) pin), '{}'::jsonb) AS inputs,
    COALESCE(( SELECT jsonb_object_agg(pin.name, pin.emitted) AS jsonb_object_agg
           FROM ( SELECT o.name,
                    jsonb_agg(o.value ORDER BY o.number) AS emitted
                   FROM ( SELECT x.number,
                            COALESCE((x.input_data ->> 'name'::text), (n.input_default ->> 'name'::text)) AS name,
                            COALESCE((x.input_data -> 'value'::text), (n.input_default -> 'value'::text)) AS value
                           FROM (platform.node_executions x
                             JOIN platform.nodes n ON ((x.node_id = n.id)))
                          WHERE ((x.graph_exec_id = e.id) AND (x.edge = 'OUTPUT'::text) AND (x.status <> 'PENDING'::text))
                          ORDER BY x.number
                         LIMIT 1000) o
                  WHERE (o.name IS NOT NULL)
                  GROUP BY o.name) pin), '{}'::jsonb) AS outputs,
    '[]'::jsonb AS left_out
   FROM platform.graph_executions e;

CREATE TABLE platform.node_outputs (
    number bigint NOT NULL,
    node_exec_id text NOT NULL,
    name text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE VIEW platform.node_execution_details WITH (security_invoker='true') AS
 SELECT e.user_id,
    e.graph_id,
    e.graph_version,
    x.graph_exec_id,
    x.id AS node_exec_id,
    x.node_id,
    n.block_id,
    x.status,
    x.input_data,
    COALESCE(( SELECT jsonb_object_agg(pin.name, pin.emitted) AS jsonb_object_agg
           FROM ( SELECT o.name,
                    jsonb_agg(o.data ORDER BY o.number) AS emitted
                   FROM platform.node_outputs o
                  WHERE (o.node_exec_id = x.id)
                  GROUP BY o.name) pin), '{}'::jsonb) AS output_data,
    x.stats,
    x.add_time,
    x.queue_time,
    x.start_time,
    x.end_time,
    '[]'::jsonb AS left_out,
    x.number
   FROM ((platform.node_executions x
     JOIN platform.graph_executions e ON ((x.graph_exec_id = e.id)))
     JOIN platform.nodes n ON ((x.node_id = n.id)));

ALTER TABLE platform.node_executions ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME platform.node_executions_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE platform.node_outputs ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME platform.node_outputs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE platform.notification_batches (
    user_id text NOT NULL,
    type text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT notification_batches_type_known CHECK ((type = ANY (ARRAY['SYSTEM'::text, 'REVIEW'::text, 'EXECUTION'::text, 'MARKETING'::text])))
);

CREATE TABLE platform.notification_preferences (
    user_id text NOT NULL,
    system boolean NOT NULL,
    review boolean NOT NULL,
    execution boolean NOT NULL,
    marketing boolean NOT NULL,
    daily_limit bigint NOT NULL,
    CONSTRAINT notification_preferences_daily_limit_not_negative CHECK ((daily_limit >= 0))
);

CREATE TABLE platform.notifications (
    number bigint NOT NULL,
    user_id text NOT NULL,
    type text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    data jsonb NOT NULL
);

ALTER TABLE platform.notifications ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME platform.notifications_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE platform.subgraphs (
    graph_id text NOT NULL,
    graph_version bigint NOT NULL,
    "position" bigint NOT NULL,
    subgraph_id text NOT NULL,
    subgraph_version bigint NOT NULL
);

CREATE TABLE platform.user_integrations (
    user_id text NOT NULL,
    sealed text NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE platform.user_metadata (
    user_id text NOT NULL,
    sealed text NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE platform.users (
    id text NOT NULL,
    email text NOT NULL,
    name text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    email_verified boolean DEFAULT true NOT NULL
);

CREATE TABLE rowcall.attempts (
    id uuid NOT NULL,
    caller text NOT NULL,
    args_hash bytea NOT NULL,
    count bigint NOT NULL,
    run uuid DEFAULT gen_random_uuid() NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    messages uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    running uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    deciding uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    decided boolean DEFAULT false NOT NULL,
    acquitted uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    forgiven bigint DEFAULT 0 NOT NULL,
    lost uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    counted uuid[] DEFAULT '{}'::uuid[] NOT NULL
);

CREATE TABLE rowcall.audit (
    number bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    letter bigint,
    details jsonb NOT NULL
);

ALTER TABLE rowcall.audit ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcall.audit_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rowcall.dead_letters (
    number bigint NOT NULL,
    id uuid NOT NULL,
    caller text NOT NULL,
    args_hash bytea NOT NULL,
    routing_key text NOT NULL,
    method text NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    fingerprint text NOT NULL,
    attempts bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    worker text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    body bytea NOT NULL,
    traceback bytea NOT NULL,
    replay_id uuid,
    replays bigint DEFAULT 0 NOT NULL,
    replayed_at timestamp with time zone,
    outcome text,
    parent bigint,
    CONSTRAINT dead_letters_reason_known CHECK ((reason = ANY (ARRAY['malformed'::text, 'internal'::text, 'poison'::text, 'exhausted'::text, 'expired'::text]))),
    CONSTRAINT dead_letters_state_known CHECK ((state = ANY (ARRAY['open'::text, 'replaying'::text, 'resolved'::text, 'fenced'::text, 'discarded'::text, 'replaced'::text])))
);

ALTER TABLE rowcall.dead_letters ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcall.dead_letters_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE rowcall.event_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE rowcall.migrations (
    family text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE rowcall.receipts (
    day date NOT NULL,
    id uuid NOT NULL,
    caller text NOT NULL,
    method text NOT NULL,
    args_hash bytea NOT NULL,
    deadline timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    outcome text NOT NULL,
    events jsonb,
    seq bigint,
    CONSTRAINT receipts_in_time CHECK ((at <= deadline)),
    CONSTRAINT receipts_outcome_fits CHECK ((octet_length(outcome) <= 262144))
)
PARTITION BY RANGE (day);

CREATE TABLE rowcall.receipts_other_ids (
    day date NOT NULL,
    id uuid NOT NULL,
    caller text NOT NULL,
    method text NOT NULL,
    args_hash bytea NOT NULL,
    deadline timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    outcome text NOT NULL,
    events jsonb,
    seq bigint,
    CONSTRAINT receipts_in_time CHECK ((at <= deadline)),
    CONSTRAINT receipts_outcome_fits CHECK ((octet_length(outcome) <= 262144))
);

CREATE TABLE rowcall.relay (
    only_row boolean DEFAULT true NOT NULL,
    generation uuid DEFAULT gen_random_uuid() NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    history bigint DEFAULT 0 NOT NULL,
    forgotten bigint DEFAULT 0 NOT NULL,
    halted text,
    CONSTRAINT relay_only_row CHECK (only_row)
);

ALTER TABLE ONLY rowcall.receipts ATTACH PARTITION rowcall.receipts_other_ids FOR VALUES FROM ('1970-01-01') TO ('1970-01-02');

ALTER TABLE ONLY platform.balances
    ADD CONSTRAINT balances_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY platform.blocks
    ADD CONSTRAINT blocks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY platform.credit_transactions
    ADD CONSTRAINT credit_transactions_pkey PRIMARY KEY (number);

ALTER TABLE ONLY platform.execution_data
    ADD CONSTRAINT execution_data_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY platform.graph_executions
    ADD CONSTRAINT graph_executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY platform.graphs
    ADD CONSTRAINT graphs_pkey PRIMARY KEY (id, version);

ALTER TABLE ONLY platform.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (graph_id, graph_version, "position");

ALTER TABLE ONLY platform.node_executions
    ADD CONSTRAINT node_executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY platform.node_outputs
    ADD CONSTRAINT node_outputs_pkey PRIMARY KEY (number);

ALTER TABLE ONLY platform.nodes
    ADD CONSTRAINT nodes_graph_id_graph_version_position_key UNIQUE (graph_id, graph_version, "position");

ALTER TABLE ONLY platform.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY platform.notification_batches
    ADD CONSTRAINT notification_batches_pkey PRIMARY KEY (user_id, type);

ALTER TABLE ONLY platform.notification_preferences
    ADD CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY platform.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (user_id, type, number);

ALTER TABLE ONLY platform.subgraphs
    ADD CONSTRAINT subgraphs_pkey PRIMARY KEY (graph_id, graph_version, "position");

ALTER TABLE ONLY platform.user_integrations
    ADD CONSTRAINT user_integrations_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY platform.user_metadata
    ADD CONSTRAINT user_metadata_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY platform.users
    ADD CONSTRAINT users_email_key UNIQUE (email);

ALTER TABLE ONLY platform.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY rowcall.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (id, caller, args_hash);

ALTER TABLE ONLY rowcall.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (number);

ALTER TABLE ONLY rowcall.dead_letters
    ADD CONSTRAINT dead_letters_call_key UNIQUE (id, caller, args_hash);

ALTER TABLE ONLY rowcall.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (number);

ALTER TABLE ONLY rowcall.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (family, number);

ALTER TABLE ONLY rowcall.receipts
    ADD CONSTRAINT receipts_pkey PRIMARY KEY (day, id);

ALTER TABLE ONLY rowcall.receipts_other_ids
    ADD CONSTRAINT receipts_other_ids_pkey PRIMARY KEY (day, id);

ALTER TABLE ONLY rowcall.relay
    ADD CONSTRAINT relay_pkey PRIMARY KEY (only_row);

CREATE INDEX credit_transactions_user_id_number_idx ON platform.credit_transactions USING btree (user_id, number);

CREATE INDEX graph_executions_created_at_id_idx ON platform.graph_executions USING btree (created_at, id) INCLUDE (user_id);

CREATE INDEX graph_executions_graph_idx ON platform.graph_executions USING btree (user_id, graph_id, created_at, id);

CREATE INDEX graph_executions_graph_version_idx ON platform.graph_executions USING btree (user_id, graph_id, graph_version, created_at, id);

CREATE INDEX graph_executions_preset_idx ON platform.graph_executions USING btree (user_id, preset_id, created_at, id) WHERE (preset_id IS NOT NULL);

CREATE INDEX graph_executions_user_idx ON platform.graph_executions USING btree (user_id, created_at, id);

CREATE INDEX graph_executions_version_idx ON platform.graph_executions USING btree (user_id, graph_version, created_at, id);

CREATE INDEX graphs_user_id_idx ON platform.graphs USING btree (user_id);

CREATE INDEX links_sink_id_idx ON platform.links USING btree (sink_id);

CREATE INDEX links_source_id_source_name_idx ON platform.links USING btree (source_id, source_name);

CREATE INDEX node_executions_add_time_idx ON platform.node_executions USING brin (add_time) WITH (autosummarize='on');

CREATE INDEX node_executions_graph_exec_id_edge_number_idx ON platform.node_executions USING btree (graph_exec_id, edge, number) WHERE (edge IS NOT NULL);

CREATE INDEX node_executions_graph_exec_id_node_id_status_number_idx ON platform.node_executions USING btree (graph_exec_id, node_id, status, number);

CREATE INDEX node_executions_graph_exec_id_number_idx ON platform.node_executions USING btree (graph_exec_id, number);

CREATE INDEX node_outputs_node_exec_id_number_idx ON platform.node_outputs USING btree (node_exec_id, number);

CREATE INDEX notification_batches_type_user_id_idx ON platform.notification_batches USING btree (type, user_id);

CREATE INDEX attempts_at_idx ON rowcall.attempts USING btree (at);

CREATE INDEX audit_letter_idx ON rowcall.audit USING btree (letter, number) WHERE (letter IS NOT NULL);

CREATE INDEX dead_letters_fingerprint_idx ON rowcall.dead_letters USING btree (fingerprint, number);

CREATE INDEX dead_letters_last_at_idx ON rowcall.dead_letters USING btree (last_at);

CREATE INDEX dead_letters_method_idx ON rowcall.dead_letters USING btree (method, number);

CREATE INDEX dead_letters_parent_idx ON rowcall.dead_letters USING btree (parent) WHERE (parent IS NOT NULL);

CREATE INDEX dead_letters_replay_id_idx ON rowcall.dead_letters USING btree (replay_id) WHERE (replay_id IS NOT NULL);

CREATE INDEX dead_letters_state_idx ON rowcall.dead_letters USING btree (state, number);

CREATE INDEX receipts_other_ids_at_idx ON rowcall.receipts_other_ids USING btree (at);

CREATE INDEX receipts_seq_idx ON ONLY rowcall.receipts USING btree (seq) WHERE (events IS NOT NULL);

CREATE INDEX receipts_other_ids_seq_idx ON rowcall.receipts_other_ids USING btree (seq) WHERE (events IS NOT NULL);

ALTER INDEX rowcall.receipts_pkey ATTACH PARTITION rowcall.receipts_other_ids_pkey;

ALTER INDEX rowcall.receipts_seq_idx ATTACH PARTITION rowcall.receipts_other_ids_seq_idx;

CREATE TRIGGER audit_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON rowcall.audit FOR EACH STATEMENT EXECUTE FUNCTION rowcall.refuse_change();

ALTER TABLE ONLY platform.balances
    ADD CONSTRAINT balances_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.credit_transactions
    ADD CONSTRAINT credit_transactions_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.execution_data
    ADD CONSTRAINT execution_data_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.graph_executions
    ADD CONSTRAINT graph_executions_graph_fkey FOREIGN KEY (graph_id, graph_version) REFERENCES platform.graphs(id, version);

ALTER TABLE ONLY platform.graph_executions
    ADD CONSTRAINT graph_executions_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.graphs
    ADD CONSTRAINT graphs_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.links
    ADD CONSTRAINT links_graph_fkey FOREIGN KEY (graph_id, graph_version) REFERENCES platform.graphs(id, version);

ALTER TABLE ONLY platform.links
    ADD CONSTRAINT links_sink_fkey FOREIGN KEY (sink_id) REFERENCES platform.nodes(id);

ALTER TABLE ONLY platform.links
    ADD CONSTRAINT links_source_fkey FOREIGN KEY (source_id) REFERENCES platform.nodes(id);

ALTER TABLE ONLY platform.node_executions
    ADD CONSTRAINT node_executions_graph_execution_fkey FOREIGN KEY (graph_exec_id) REFERENCES platform.graph_executions(id);

ALTER TABLE ONLY platform.node_executions
    ADD CONSTRAINT node_executions_node_fkey FOREIGN KEY (node_id) REFERENCES platform.nodes(id);

ALTER TABLE ONLY platform.node_outputs
    ADD CONSTRAINT node_outputs_node_execution_fkey FOREIGN KEY (node_exec_id) REFERENCES platform.node_executions(id);

ALTER TABLE ONLY platform.nodes
    ADD CONSTRAINT nodes_block_fkey FOREIGN KEY (block_id) REFERENCES platform.blocks(id);

ALTER TABLE ONLY platform.nodes
    ADD CONSTRAINT nodes_graph_fkey FOREIGN KEY (graph_id, graph_version) REFERENCES platform.graphs(id, version);

ALTER TABLE ONLY platform.notification_batches
    ADD CONSTRAINT notification_batches_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.notification_preferences
    ADD CONSTRAINT notification_preferences_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.notifications
    ADD CONSTRAINT notifications_batch_fkey FOREIGN KEY (user_id, type) REFERENCES platform.notification_batches(user_id, type) ON DELETE CASCADE;

ALTER TABLE ONLY platform.subgraphs
    ADD CONSTRAINT subgraphs_graph_fkey FOREIGN KEY (graph_id, graph_version) REFERENCES platform.graphs(id, version);

ALTER TABLE ONLY platform.subgraphs
    ADD CONSTRAINT subgraphs_subgraph_fkey FOREIGN KEY (subgraph_id, subgraph_version) REFERENCES platform.graphs(id, version);

ALTER TABLE ONLY platform.user_integrations
    ADD CONSTRAINT user_integrations_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY platform.user_metadata
    ADD CONSTRAINT user_metadata_user_fkey FOREIGN KEY (user_id) REFERENCES platform.users(id);

ALTER TABLE ONLY rowcall.dead_letters
    ADD CONSTRAINT dead_letters_parent_fkey FOREIGN KEY (parent) REFERENCES rowcall.dead_letters(number) ON DELETE SET NULL;
