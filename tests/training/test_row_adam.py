import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Adam

from ncf.training.row_adam import RowAdam


def _step(table: nn.Embedding, optimizer: torch.optim.Optimizer, rows: list[int]) -> None:
    indices = torch.tensor(rows)
    if isinstance(optimizer, RowAdam):
        optimizer.catch_up(table.weight, torch.unique(indices))
    optimizer.zero_grad()
    (table(indices) - 1).square().sum().backward()
    optimizer.step()


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=30),
    rates=st.lists(st.sampled_from([0.01, 0.02]), min_size=30, max_size=30),
)
def test_rows_end_where_the_dense_adam_has_them(steps: list[list[int]], rates: list[float]) -> None:
    torch.manual_seed(0)
    by_row, dense = nn.Embedding(6, 3, sparse=True), nn.Embedding(6, 3)
    dense.load_state_dict(by_row.state_dict())
    ours, theirs = RowAdam([by_row.weight], 0.01), Adam(dense.parameters(), 0.01)
    for rows, rate in zip(steps, rates, strict=False):
        for table, optimizer in ((by_row, ours), (dense, theirs)):
            optimizer.param_groups[0]["lr"] = rate
            _step(table, optimizer, rows)
        # What a step is about to read is up to date, not only what is left at the end.
        ours.catch_up(by_row.weight, torch.tensor(sorted(set(rows))))
        torch.testing.assert_close(by_row(torch.tensor(rows)), dense(torch.tensor(rows)))
    ours.catch_up(by_row.weight)
    torch.testing.assert_close(by_row.weight, dense.weight, atol=1e-5, rtol=1e-4)


def test_a_row_that_waited_for_thousands_of_steps_has_stopped_where_it_should() -> None:
    torch.manual_seed(0)
    by_row, dense = nn.Embedding(2, 2, sparse=True), nn.Embedding(2, 2)
    dense.load_state_dict(by_row.state_dict())
    ours, theirs = RowAdam([by_row.weight], 0.01), Adam(dense.parameters(), 0.01)
    for step in range(2500):  # more than the table of steps holds at first, and than a row moves
        for table, optimizer in ((by_row, ours), (dense, theirs)):
            _step(table, optimizer, [0] if step < 3 else [1])
    ours.catch_up(by_row.weight)
    torch.testing.assert_close(by_row.weight, dense.weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("after", [1, 20])
def test_its_state_can_be_saved_and_put_back(after: int) -> None:
    torch.manual_seed(0)
    table = nn.Embedding(9, 2, sparse=True)
    optimizer = RowAdam([table.weight], 0.01)
    for step in range(after):
        _step(table, optimizer, [step % 9, 3])
    other = nn.Embedding(9, 2, sparse=True)
    other.load_state_dict(table.state_dict())
    again = RowAdam([other.weight], 0.01)
    again.load_state_dict(optimizer.state_dict())
    for each, own in ((table, optimizer), (other, again)):
        _step(each, own, [8, 8, 1])
        own.catch_up(each.weight)
    assert torch.equal(table.weight, other.weight)
