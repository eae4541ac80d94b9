"""Which leases a worker knows, from before its claim until their deletion was acknowledged."""

from __future__ import annotations

from pgqueue.worker.state import Holdings
from tests.worker.fakes import outcome_of

A, B, STRANGER = 11, 12, 99


def known(holdings: Holdings) -> set[int]:
    return {A, B} - set(holdings.unknown(frozenset({A, B})))


def test_a_lease_is_known_from_before_the_claim_until_it_is_gone() -> None:
    holdings = Holdings()
    assert known(holdings) == set()
    holdings.claiming.add(A)
    assert known(holdings) == {A}
    holdings.took(A, 2)
    assert known(holdings) == {A}
    holdings.answered([outcome_of(1, A)])
    assert (known(holdings), holdings.emptied) == ({A}, set())
    holdings.answered([outcome_of(2, A)])
    assert (known(holdings), holdings.emptied) == ({A}, {A})
    holdings.emptied -= {A}
    assert known(holdings) == set()


def test_answers_of_several_leases_in_one_batch_are_counted_apart() -> None:
    holdings = Holdings()
    holdings.took(A, 2)
    holdings.took(B, 1)
    holdings.answered([outcome_of(1, A), outcome_of(3, B)])
    assert (holdings.open, holdings.emptied) == ({A: 1}, {B})


def test_a_claim_without_jobs_made_no_lease() -> None:
    holdings = Holdings()
    holdings.claiming.add(A)
    holdings.took(A, 0)
    assert (holdings.open, holdings.claiming, holdings.unknown(frozenset({A}))) == ({}, set(), [A])


def test_answers_for_a_forgotten_lease_change_nothing() -> None:
    holdings = Holdings()
    holdings.took(A, 2)
    holdings.claiming.add(B)
    holdings.forget()
    holdings.answered([outcome_of(1, A), outcome_of(2, A)])
    assert (known(holdings), holdings.emptied, holdings.open) == (set(), set(), {})


def test_only_strangers_are_unknown() -> None:
    holdings = Holdings()
    holdings.took(A, 1)
    assert holdings.unknown(frozenset({A, STRANGER})) == [STRANGER]
