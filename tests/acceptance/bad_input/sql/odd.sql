-- name: get_moment
-- The moment itself.
select :moment::timestamptz as moment;

-- name: get_uuid
-- The UUID itself.
select :thing::uuid as thing;

-- name: get_text
-- The text itself.
select :words::text as words;

-- name: get_value
-- The value itself, by way of jsonb.
select :given::jsonb as given;

-- name: get_ratio
-- The number, as PostgreSQL writes it.
select :ratio::float8::text as ratio;

-- name: get_small
-- The number itself, if it fits into four bytes.
select :number::integer as number;

-- name: count_names
-- How many there are.
select cardinality(:names::text[]) as names;

-- name: count_cells
-- How many there are in all rows.
select cardinality(:rows::bigint[]) as cells;

-- name: get_letters
-- So many letters.
select repeat('x', :letters::integer) as letters;

-- name: wait
-- Waits so many seconds.
select pg_sleep(:wait_s::integer)::text as waited;

-- name: find_ancient
-- A moment that Python cannot hold.
select '20000-01-01T00:00:00Z'::timestamptz as moment;

-- name: insert_note
-- A note.
insert into odd.notes (note)
values (:note);

-- name: keep_note
-- Keeps a note and answers it so many times over.
with kept as (
    insert into odd.notes (note)
    values (:note)
    returning note
),

reply as (
    select repeat(k.note, :copies::integer) as result, null::jsonb as error, null::jsonb as events
    from kept as k
)

select * from reply;
