-- name: has_bug
select exists (select from fragile.bugs where kind = :kind) as there;

-- name: trip
insert into fragile.bugs (kind, amount) values (null, :amount);

-- name: note
with noted as (
    insert into fragile.noted (key) values (:key) returning key
)

select (select count(*) from fragile.noted as n where n.key = o.key) + 1 as times from noted as o;
