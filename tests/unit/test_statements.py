"""The SQL reader."""

from __future__ import annotations

import pytest

from worker.statements import Statement, StatementError, read_statements


@pytest.mark.parametrize(
    ("text", "sql", "parameters"),
    [
        ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
        ("select '12:30:xx', :a", "select '12:30:xx', $1", ("a",)),
        ("select 'it''s :no', :a", "select 'it''s :no', $1", ("a",)),
        ('select "we:ird", :a', 'select "we:ird", $1', ("a",)),
        ("select $q$ :no $q$, :a", "select $q$ :no $q$, $1", ("a",)),
        ("select arr[1:2], :a", "select arr[1:2], $1", ("a",)),
        ("select x::jsonb, :a::int", "select x::jsonb, $1::int", ("a",)),
        ("select a @> :body", "select a @> $1", ("body",)),
        ("select 1 -- not :this\n, :a", "select 1 -- not :this\n, $1", ("a",)),
        ("select 1 /* nor\n :this */, :a", "select 1 /* nor\n :this */, $1", ("a",)),
    ],
)
def test_parameters_are_numbered_and_everything_else_is_left_alone(text, sql, parameters):
    statement = Statement.compile("family.name", text)

    assert (statement.sql, statement.parameters) == (sql, parameters)


def test_values_are_bound_in_the_order_of_their_numbers():
    statement = Statement.compile("family.name", "select :b, :a, :b")

    assert statement.bind({"a": 1, "b": 2, "c": 3}) == (2, 1)


def test_a_folder_is_read_by_names_whatever_file_they_stand_in(tmp_path):
    (tmp_path / "one.sql").write_text("-- name: first\n-- What it does.\nselect 1;\n\n-- name: second\nselect :a;\n")
    (tmp_path / "two.sql").write_text("-- name: third\nselect 3;\n")
    (tmp_path / "README.md").write_text("-- name: none\n")

    statements = read_statements("family", tmp_path)

    assert list(statements) == ["family.first", "family.second", "family.third"]
    assert statements["family.second"].parameters == ("a",)


def test_two_statements_of_one_name_are_refused(tmp_path):
    (tmp_path / "one.sql").write_text("-- name: same\nselect 1;\n")
    (tmp_path / "two.sql").write_text("-- name: same\nselect 2;\n")

    with pytest.raises(StatementError, match=r"family\.same exists already"):
        read_statements("family", tmp_path)
