"""What is read out of SQL: verb, tables, keys; and that no text makes it fail."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wires._postgres_statements import Statement, statements_of, together
from harness.wires._postgres_tokens import normalised, tokens_of


def one(sql: str) -> Statement:
    (statement,) = statements_of(sql)
    return statement


def keys(sql: str) -> list[str]:
    return [
        f"{c.table}.{c.column}={c.literal if c.literal is not None else f'${(c.parameter or 0) + 1}'}"
        for c in one(sql).conditions
    ]


@pytest.mark.parametrize(
    ("sql", "operation", "writes"),
    [
        ("select 1", "select", False),
        ("(select 1) union (select 2)", "select", False),
        ("values (1)", "select", False),
        ("table t", "select", False),
        ("with a as (select 1) select * from a", "select", False),
        ("with a as (delete from t returning *) select * from a", "select", True),
        ("with a as (select 1), b (x) as materialized (select 2) insert into t select * from b", "insert", True),
        ("select * into new from old", "select", True),
        ("insert into t default values", "insert", True),
        ("update only t set a = 1", "update", True),
        ("merge into t using s on true when matched then delete", "update", True),
        ("delete from t", "delete", True),
        ("begin isolation level serializable", "begin", False),
        ("start transaction", "begin", False),
        ("commit", "commit", False),
        ("end work", "commit", False),
        ("commit prepared 'x'", "commit", False),
        ("rollback", "rollback", False),
        ("abort", "rollback", False),
        ("rollback to savepoint s", "other", None),
        ("rollback work to s", "other", None),
        ("savepoint s", "other", None),
        ("create table t (id int)", "ddl", True),
        ("truncate a, b", "ddl", True),
        ("copy t from stdin", "copy", True),
        ("copy t to stdout", "copy", False),
        ("copy (select * from t) to stdout", "copy", False),
        ("declare c cursor for select * from t", "select", False),
        ("fetch 10 from c", "select", False),
        ("listen x", "other", None),
        ("set x = 1", "other", None),
        ("explain analyze delete from t", "other", None),
        ("do $$ begin delete from t; end $$", "other", None),
        ("call p()", "other", None),
        ("/* a /* nested */ comment */ -- and\n SELECT 1", "select", False),
        ("nonsense", "other", None),
    ],
)
def test_operation(sql: str, operation: str, writes: bool | None) -> None:
    """Verbs behind comments, parentheses, WITH; what can't be told is not told."""
    assert (one(sql).operation, one(sql).writes) == (operation, writes)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select * from a, b as x, only c cross join d", ("a", "b", "c", "d")),
        ("select * from public.a join other.b using (id)", ("a", "other.b")),
        ('select * from "A b" left join lateral (select * from c) s on true', ("A b", "c")),
        ("select extract(year from x), trim(both from y) from t where a is distinct from b", ("t",)),
        ("select * from generate_series(1, 2) g", ()),
        ("with c as (select * from a) select * from c join b on true", ("a", "b")),
        ("insert into t (a) select b from s", ("t", "s")),
        ("update t set a = s.a from s where t.id = s.id", ("t", "s")),
        ("delete from t using s where t.id = s.id", ("t", "s")),
        ("insert into t (a) values (1) on conflict do update set a = 2", ("t",)),
        ("select * from t for update of t skip locked", ("t",)),
        ("select * from t where exists (select 1 from u)", ("t", "u")),
        ("create unique index concurrently i on t (a)", ("t",)),
        ("alter table if exists only t add b int", ("t",)),
        ("drop table if exists a, s.b cascade", ("a", "s.b")),
        ("lock table a, b in share mode", ("a", "b")),
        ("copy public.t (a) from stdin", ("t",)),
        ("select 'from x', $$ from y $$, \"from z\" from t -- from u", ("t",)),
    ],
)
def test_tables(sql: str, tables: tuple[str, ...]) -> None:
    """Those that are named, each once, without aliases, functions and what WITH defines."""
    assert one(sql).tables == tables


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from t where a = $1 and b = 'x''y' and 3 = c", ["t.a=$1", "t.b=x'y", "t.c=3"]),
        ("select * from t where a = $1::uuid and b = -5 and c = e'\\'' and d = $$q$$",
         ["t.a=$1", "t.b=-5", "t.c='", "t.d=q"]),
        ("select * from t x join u on x.id = u.id where x.a = 1 and u.b = $2 and c = 3", ["t.a=1", "u.b=$2"]),
        ("select * from t where a in ($1, 2, 'z')", ["t.a=$1", "t.a=2", "t.a=z"]),
        ("select * from t where a not in (1, 2) and b = 3", ["t.b=3"]),
        ("select * from t where a = 1 or b = 2", []),
        ("select * from t where (a = 1 or b = 2) and c = 3", []),
        ("select * from t where not (a = 1)", []),
        ("select * from t where a + 1 = 2 and b = 2 + c and d <> 3 and e >= 4", []),
        ("select a = 1 from t group by a having a = 2", []),
        ("update t set a = 1 where id = $1 returning a = 3", ["t.id=$1"]),
        ("delete from t where id = 5", ["t.id=5"]),
        ("insert into t (a, b) values ($1, now()), (2, $2)", ["t.a=$1", "t.a=2", "t.b=$2"]),
        ("insert into t (a, b) values (coalesce($1, 2), (3))", []),
        ("insert into t values (1)", []),
        ("insert into t (a) select 1", []),
        ("select * from t where x = 1 and exists (select 1 from u where u.k = t.id and v = 2)", ["u.v=2", "t.x=1"]),
        ("with c as (select 1) select * from c where a = 1", []),
        ("select * from f(1) where a = 1", []),
        ("select * from t where active = true and gone is not null", ["t.active=true"]),
    ],
)  # fmt: skip
def test_keys(sql: str, expected: list[str]) -> None:
    """A column equal to a value, where that says what is touched and whose column it is; else nothing."""
    assert keys(sql) == expected


def test_locks_and_rows_that_name_what_they_touched() -> None:
    """Locking reads and RETURNING."""
    assert one("select * from t for no key update").locks
    assert not one("select * from t where a = 'for update'").locks
    assert one("insert into t (a) values (1) returning id").returning
    assert not one("select * from t").returning


def test_text_is_normalised() -> None:
    """Lower case, single spaces, no comments, no literals; quoted names as they are."""
    sql = "SELECT  \"Id\" /* x */ FROM T\n WHERE a='s' AND n = 1.5 AND p = $1 -- end"
    assert one(sql).text == 'select "Id" from t where a=? and n = ? and p = $1'


def test_several_statements_in_one_message() -> None:
    """The one that says most names them; what any of them touches is told."""
    found = statements_of("begin; insert into a (x) values (';'); select * from b where y = 1; commit;")
    assert [s.operation for s in found] == ["begin", "insert", "select", "commit"]
    both = together(found)
    assert (both.operation, both.tables, both.writes) == ("commit", ("a", "b"), True)
    assert statements_of(" ; -- nothing\n ;") == ()


_PIECES = """
select from where update set insert into values ( ) , ; = $1 $$ $a$ ' '' " /* */ -- a.b t in not or with as for join
using e'\\ E'x' U&"d" 1 1.5e :: . * copy delete returning case on lock declare only é
"""


@given(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES.split()), max_size=30).map(" ".join)))
@settings(max_examples=400, deadline=None)
def test_no_text_makes_it_fail(sql: str) -> None:
    """And every character of it is in a token, a gap or a quote."""
    for statement in statements_of(sql):
        assert statement.operation
        assert all(statement.tables)
    normalised(tokens_of(sql))
