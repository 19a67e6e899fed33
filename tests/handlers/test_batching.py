"""Rows that wait go together; who waits too long, or is gone, gets no answer and costs nothing."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from handlers.batching import Batcher, BusyError, GoneError, OverdueError


class Recorder:
    """Doubles numbers, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.held = threading.Event()
        self.held.set()

    def run(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.held.wait(10)
        if 13 in numbers:
            raise ValueError("unlucky")
        return [2 * number for number in numbers]


async def _until(condition: Any) -> None:  # noqa: ANN401 - any callable
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_what_comes_while_a_batch_runs_goes_together_in_the_next() -> None:
    recorder = Recorder()
    batcher = Batcher[int, int](recorder.run, batch=4)

    async def main() -> list[int]:
        recorder.held.clear()
        first = asyncio.ensure_future(batcher.submit(0))
        await _until(lambda: recorder.batches)
        others = [asyncio.ensure_future(batcher.submit(number)) for number in range(1, 8)]
        await asyncio.sleep(0)
        recorder.held.set()
        return list(await asyncio.gather(first, *others))

    assert asyncio.run(main()) == [2 * number for number in range(8)]
    batcher.close()
    assert recorder.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_one_that_waits_too_long_is_refused_and_not_run_and_a_full_queue_says_so() -> None:
    recorder = Recorder()
    batcher = Batcher[int, int](recorder.run, queue=2, deadline=0.2)

    async def main() -> None:
        recorder.held.clear()
        first = asyncio.ensure_future(batcher.submit(0))
        await _until(lambda: recorder.batches)
        second = asyncio.ensure_future(batcher.submit(1))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await batcher.submit(2)
        with pytest.raises(OverdueError):
            await first
        with pytest.raises(OverdueError):
            await second
        recorder.held.set()
        assert await batcher.submit(3) == 6
        assert batcher.waiting == 0

    asyncio.run(main())
    batcher.close()
    assert recorder.batches == [[0], [3]]


def test_a_client_that_is_gone_is_not_scored() -> None:
    recorder = Recorder()
    batcher = Batcher[int, int](recorder.run)

    async def gone() -> dict[str, str]:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def main() -> None:
        recorder.held.clear()
        first = asyncio.ensure_future(batcher.submit(0))
        await _until(lambda: recorder.batches)
        with pytest.raises(GoneError):
            await batcher.submit(1, gone)
        recorder.held.set()
        assert await first == 0

    asyncio.run(main())
    batcher.close()
    assert recorder.batches == [[0]]


def test_a_batch_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    batcher = Batcher[int, int](recorder.run)

    async def main() -> None:
        with pytest.raises(ValueError, match="unlucky"):
            await batcher.submit(13)
        assert await batcher.submit(4) == 8

    asyncio.run(main())
    batcher.close()
    assert "a batch of 1 failed" in caplog.text
