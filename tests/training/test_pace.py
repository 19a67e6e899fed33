"""States to resume from take a bounded share of a training's time."""

import pytest

from ncf.training.pace import Pace


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("ncf.training.pace.time.monotonic", found)
    return found


@pytest.mark.parametrize(("epoch", "cost"), [(1.0, 0.01), (0.05, 0.2), (3.0, 3.0), (1.0, 0.0)])
def test_a_chore_takes_its_share_of_the_time_and_no_more(
    clock: Clock, epoch: float, cost: float
) -> None:
    pace, done = Pace(0.1), []
    for number in range(200):
        clock.now += epoch
        if pace.due():
            done.append(number)
            with pace.timed():
                clock.now += cost
    spent = (len(done) - 1) * cost
    assert done[0] == 0
    assert spent <= 0.1 * clock.now + cost
    assert len(done) == 200 if cost <= epoch / 9 else spent >= 0.05 * clock.now
