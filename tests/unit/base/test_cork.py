"""Who writes together, and when."""

from __future__ import annotations

import asyncio

from actinium.base.cork import Cork


class Pen:
    def __init__(self, written: list[int], name: int) -> None:
        self._written = written
        self._name = name

    def flush(self) -> None:
        self._written.append(self._name)


def test_all_write_at_the_end_of_the_turn() -> None:
    async def main() -> None:
        written: list[int] = []
        cork = Cork()
        for name in range(20):
            cork.add(Pen(written, name))
        assert written == []
        await asyncio.sleep(0)
        assert written == list(range(20))

    asyncio.run(main())


def test_no_more_than_so_many_wait_for_each_other() -> None:
    async def main() -> None:
        written: list[int] = []
        cork = Cork(8)
        for name in range(20):
            cork.add(Pen(written, name))
            assert len(written) == (name + 1) // 8 * 8
        await asyncio.sleep(0)
        assert written == list(range(20))

    asyncio.run(main())
