"""The rating routes in a process that a test may kill, and a short way to start it again.

    python -m tests.ui.rating_server DATA PORT

Every line that it reads starts a server, whose process id it prints; what is slow, importing, happens once before.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

ROOT = Path(__file__).parents[2]


class Servers:
    """Starts a server, kills it, and starts it again, on the same port and data folder."""

    def __init__(self, maker: "Popen[str]") -> None:
        self._maker = maker
        self.kills = 0

    def start(self) -> None:
        """Returns when the process is there; it answers a moment later."""
        assert self._maker.stdin is not None and self._maker.stdout is not None
        self._maker.stdin.write("start\n")
        self._maker.stdin.flush()
        self._running = int(self._maker.stdout.readline())

    def kill(self) -> None:
        """As a crash does: no warning, nothing is finished."""
        os.kill(self._running, signal.SIGKILL)
        self.kills += 1


@contextmanager
def servers(data: Path, port: int) -> Iterator[Servers]:
    """A maker of servers, with the first one started; nothing of it is left afterwards."""
    words = [sys.executable, "-m", "tests.ui.rating_server", str(data), str(port)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with Popen(words, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}) as maker:
        made = Servers(maker)
        made.start()
        try:
            yield made
        finally:
            made.kill()
            maker.communicate()  # the end of its input ends it


def main() -> None:
    import uvicorn
    from starlette.applications import Starlette

    from separation.engine.jobs import JobStore
    from separation.engine.workers import Workers
    from separation.settings import Settings
    from separation.ui.frame import Services, open_ratings
    from separation.ui.rating_routes import rating_routes
    from tests.ui.page_services import SmallHub

    settings = Settings(data=Path(sys.argv[1]))
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            store, hub = JobStore(settings.jobs), SmallHub()
            workers = Workers(store, hub.load, devices=("cpu",))
            services = Services(settings, store, workers, hub, settings.data, *open_ratings(settings))
            app = Starlette(routes=rating_routes(services))
            uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="critical")
            return
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
