"""The sandbox: the image, the containers, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from tracegen.data import AssertTests, CodeTests, IoCase, StdioTests, Verdict
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Finding, Program, Sandbox, engine, image
from tracegen.verify.code import judge_code

LIMITS = CodeLimits(seconds=5, total_seconds=30, memory_mb=256, containers=2)
ADD = CodeTests(tests=AssertTests(statements=("assert add(1, 2) == 3",)), entry_point="add")


def prints(expected: str) -> CodeTests:
    return CodeTests(tests=StdioTests(cases=(IoCase(input="", output=expected),)))


def findings(
    *jobs: tuple[CodeTests, str],
    limits: CodeLimits = LIMITS,
    meanwhile: Callable[[Sandbox], object] | None = None,
) -> list[Finding]:
    """What a sandbox finds, of all jobs side by side; `meanwhile` runs in a thread beside them."""

    async def all_of_them() -> list[Finding]:
        async with Sandbox(limits) as sandbox:
            beside = threading.Thread(target=meanwhile or (lambda _: None), args=(sandbox,))
            beside.start()
            found = await asyncio.gather(
                *(sandbox.judge(tests, Program(source=code)) for tests, code in jobs)
            )
            beside.join()
            return found

    return asyncio.run(all_of_them())


def containers(label: str) -> list[dict[str, Any]]:
    client = engine.connect()
    try:
        found: list[dict[str, Any]] = client.containers(all=True, filters={"label": label})
        return found
    finally:
        client.close()


# --- without a working sandbox ---------------------------------------------------------------------


def test_says_that_no_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxError, match="no Docker engine answers") as caught:
        findings()
    assert caught.value.cause == "docker_unavailable"


@pytest.mark.docker
def test_says_that_the_image_is_missing() -> None:
    with pytest.raises(SandboxError, match="tracegen sandbox build") as caught:
        findings(limits=CodeLimits(images={"python": "tracegen-no-such-image"}))
    assert caught.value.cause == "image_missing"
    with pytest.raises(SandboxError, match="tracegen sandbox build"):
        image.image_digest("tracegen-no-such-image")


@pytest.mark.docker
def test_refuses_an_image_whose_harness_is_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = CodeLimits(images={"python": image.tag_of("python")})
    monkeypatch.setattr(image, "content", lambda source: "another")
    with pytest.raises(SandboxError, match="another version") as caught:
        findings(limits=limits)
    assert caught.value.cause == "image_missing"


@pytest.mark.docker
def test_names_what_to_install_where_no_base_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "PULLED", ("registry.invalid/debian", "no-such-tag"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError, match="apt-get install debootstrap"):
        image.build(tag="tracegen-test-nothing", say=lambda line: None, force=True)


# --- the image -------------------------------------------------------------------------------------


@pytest.mark.docker
def test_builds_nothing_twice() -> None:
    said: list[str] = []
    built = image.build(say=said.append)
    assert built == image.tag_of("python")
    assert said == [f"{built}: up to date"]


def test_digests_the_content_of_a_folder(tmp_path: Any) -> None:
    (tmp_path / "a").write_text("1")
    before = image.content(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("2")
    assert image.content(tmp_path) == before
    (tmp_path / "a").write_text("2")
    assert image.content(tmp_path) != before


# --- what a program finds inside -------------------------------------------------------------------

STATUS = "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
PROBES = {
    "no_root": (
        "import os\nprint(0 in (os.getuid(), os.geteuid(), os.getgid()), os.getgroups())",
        "False []",
    ),
    "no_capability": (
        STATUS + "print(*(int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')))",
        "0 0 0 0",
    ),
    "no_new_privileges": (STATUS + "print(int(status['NoNewPrivs']), int(status['Seccomp']))", "1 2"),
    "supervisor_of_another_uid": ("import os\nprint(os.stat('/proc/1').st_uid == os.getuid())", "False"),
    "no_network": ("import os\nprint(*os.listdir('/sys/class/net'))", "lo"),
    "no_writable_disk": (
        "import os\npaths = ('/', '/etc', '/usr', '/var', '/harness', '/root', '/home', '/tmp')\n"
        "print(*(path for path in paths if os.access(path, os.W_OK)))",
        "/tmp",
    ),
    "nothing_to_read_in_the_environment": (
        "import os\nprint(*sorted(os.environ))",
        "HOME HOSTNAME LANG MKL_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH PYTHONDONTWRITEBYTECODE"
        " PYTHONHASHSEED TMPDIR",
    ),
    "no_descriptor_but_the_standard_ones": (
        "import os\nfds = sorted(map(int, os.listdir('/proc/self/fd')))\n"
        "print(*(fd for fd in fds if os.path.exists(f'/proc/self/fd/{fd}')))",
        "0 1 2",
    ),
    "memory_is_limited": ("x = bytearray(200 << 20)\nprint(len(x) >> 20)", "200"),
    "disk_is_limited": (
        "import os\nfound = os.statvfs('/tmp')\n"
        "print(found.f_blocks * found.f_frsize >> 20, found.f_files <= 16384)",
        "64 True",
    ),
    "one_program_alone": (
        "import os\n"
        "found = [p for p in os.listdir('/proc') if p.isdigit() and os.stat('/proc/' + p).st_uid]\n"
        "print(found == [str(os.getpid())])",
        "True",
    ),
    "libraries": (
        "import numpy, sortedcontainers\nprint(numpy.arange(3).sum(), *sortedcontainers.SortedList([2, 1]))",
        "3 1 2",
    ),
}


@pytest.fixture(scope="module")
def probed() -> dict[str, Finding]:
    os.environ["TRACEGEN_TEST_SECRET"] = "sk-nothing"
    found = findings(*((prints(expected), code) for code, expected in PROBES.values()))
    return dict(zip(PROBES, found, strict=True))


@pytest.mark.docker
@pytest.mark.parametrize("name", PROBES)
def test_gives_a_program_nothing_but_what_it_needs(name: str, probed: dict[str, Finding]) -> None:
    assert probed[name].cause == "passed", probed[name].evidence


@pytest.mark.docker
def test_hardens_every_container() -> None:
    seen: list[dict[str, Any]] = []

    def look(sandbox: Sandbox) -> None:
        for found in containers(f"{engine.RUN}={sandbox.pool.run}"):
            with contextlib.suppress(docker.errors.NotFound):  # one that has just been replaced
                seen.append(sandbox.pool.client.inspect_container(found["Id"]))

    findings(meanwhile=look)
    assert seen
    for container in seen:
        host = container["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["CapDrop"] == ["ALL"]
        assert set(host["CapAdd"]) == set(engine.SUPERVISOR)
        assert host["ReadonlyRootfs"] and host["AutoRemove"] and not host["Privileged"]
        assert host["Memory"] == host["MemorySwap"] == 256 << 20
        assert host["PidsLimit"] == LIMITS.processes + 2
        assert host["NanoCpus"] or host["CpuQuota"] == 100_000
        assert "no-new-privileges" in host["SecurityOpt"]
        assert host["LogConfig"]["Type"] == "none"
        assert not container["Mounts"] and not host["Binds"]


# --- one container for each program ----------------------------------------------------------------


@pytest.mark.docker
def test_never_shows_a_program_what_another_left() -> None:
    leaves = (
        "import os, ctypes\n"
        "for path in ('/tmp', '/dev/shm'):\n    open(path + '/left', 'w').close()\n"
        "ctypes.CDLL(None).shmget(7, 4096, 0o1666)\n"
        "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(60)\n    os._exit(0)\n"
        "def add(a, b):\n    return a + b\n"
    )
    looks = (
        "import os, ctypes\n"
        "assert not os.listdir('/tmp') and not os.listdir('/dev/shm')\n"
        "assert len(open('/proc/sysvipc/shm').readlines()) == 1\n"
        "assert len([p for p in os.listdir('/proc') if p.isdigit() and os.stat('/proc/' + p).st_uid]) == 1\n"
        "def add(a, b):\n    return a + b\n"
    )
    found = findings(*[(ADD, leaves), (ADD, looks)] * 4)
    assert [finding.cause for finding in found] == ["passed"] * 8, found


@pytest.mark.docker
def test_does_not_trust_a_judge_that_its_last_tests_left_dirty() -> None:
    dirty = CodeTests(
        tests=AssertTests(
            statements=("assert add(1, 2) == 3",),
            setup="import ctypes\nctypes.CDLL(None).shmget(7, 4096, 0o1666)\nopen('/tmp/left', 'w').close()",
        ),
        entry_point="add",
    )
    clean = CodeTests(
        tests=AssertTests(
            statements=("import os\nassert not os.listdir('/tmp') and add(1, 2) == 3",),
            setup="assert len(list(map(str, __import__('pathlib').Path('/proc/sysvipc/shm').open()))) == 1",
        ),
        entry_point="add",
    )
    code = "def add(a, b):\n    return a + b\n"
    found = findings(*[(dirty, code), (clean, code)] * 3, limits=CodeLimits(containers=1))
    assert [finding.cause for finding in found] == ["passed"] * 6, found


# --- when things break -----------------------------------------------------------------------------


@pytest.mark.docker
def test_judges_again_when_a_container_is_lost() -> None:
    slow = "import time\ndef add(a, b):\n    time.sleep(1.5)\n    return a + b\n"

    def kill(sandbox: Sandbox) -> None:
        time.sleep(1.0)
        for found in containers(f"{engine.RUN}={sandbox.pool.run}"):
            engine.remove(sandbox.pool.client, found["Id"])

    found = findings(*[(ADD, slow)] * 3, meanwhile=kill)
    assert [finding.cause for finding in found] == ["passed"] * 3, found


@pytest.mark.docker
def test_leaves_no_container_behind() -> None:
    names: list[str] = []
    hostile = "import os\nwhile True:\n    os.fork()\n"
    findings(
        (ADD, hostile),
        (prints(""), "while True: pass"),
        meanwhile=lambda sandbox: names.append(sandbox.pool.run),
    )
    assert containers(f"{engine.RUN}={names[0]}") == []


HOST = """
import asyncio, sys
from tracegen.data import AssertTests, CodeTests
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Program, Sandbox

async def main():
    async with Sandbox(CodeLimits(containers=2)) as sandbox:
        print(sandbox.pool.run, flush=True)
        tests = CodeTests(tests=AssertTests(statements=("assert f() == 1",)), entry_point="f")
        code = "def f():\\n    while True: pass\\n"
        await asyncio.gather(*(sandbox.judge(tests, Program(source=code)) for _ in range(2)))

asyncio.run(main())
"""


@pytest.mark.docker
def test_leaves_nothing_behind_when_its_host_is_killed() -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host, host.stdout:
        label = f"{engine.RUN}={host.stdout.readline().strip()}"
        time.sleep(2.0)
        assert containers(label)
        host.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while containers(label) and time.monotonic() < end:
        time.sleep(0.2)
    assert containers(label) == []


@pytest.mark.docker
def test_sweeps_what_the_dead_left_and_nothing_of_the_living() -> None:
    client = engine.connect()
    made: list[str] = []
    gone = subprocess.Popen(["true"])
    gone.wait()
    boot, space, _, _ = engine.owner().split(":")
    try:
        tag = image.tag_of("python")
        for label in (f"{boot}:{space}:{gone.pid}:1", engine.owner(), f"another-boot:{space}:{gone.pid}:1"):
            container = client.create_container(tag, ["true"], labels={engine.OWNER: label})
            made.append(container["Id"])
        assert engine.sweep(client) >= 1
        left = {found["Id"] for found in client.containers(all=True, filters={"label": engine.OWNER})}
        assert made[0] not in left
        assert {made[1], made[2]} <= left
    finally:
        for container in made:
            engine.remove(client, container)
        client.close()


def test_knows_the_dead_from_the_living() -> None:
    mine = engine.owner()
    boot, space, pid, start = mine.split(":")
    assert not engine.dead(mine, mine)
    assert engine.dead(f"{boot}:{space}:{pid}:{int(start) + 1}", mine)
    assert not engine.dead(f"other:{space}:999999999:1", mine)
    assert engine.dead(f"{boot}:{space}:999999999:1", mine)
    assert not engine.dead("", mine)


@pytest.mark.docker
def test_cuts_output_while_it_streams() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flood = "import os\nwhile True: os.write(1, b'x' * 65536)\n"
    (found,) = findings((prints(""), flood))
    assert found.cause == "output_limit"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.docker
def test_judges_many_programs_side_by_side() -> None:
    code = "def add(a, b):\n    return {}\n"
    jobs = [(ADD, code.format("a + b" if number % 2 else number)) for number in range(12)]
    found = findings(*jobs)
    assert [finding.cause for finding in found] == ["wrong_answer", "passed"] * 6


class Door:
    """A way to the engine that can be shut: what a restart of the engine looks like from here."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.through: list[socket.socket] = []
        self.listener: socket.socket | None = None
        self.unlock()

    def unlock(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.admit, args=(self.listener,), daemon=True).start()

    def admit(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                far.connect("/var/run/docker.sock")
                self.through += [near, far]
                for here, there in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=(here, there), daemon=True).start()

    def carry(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(1 << 16):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)

    def slam(self) -> None:
        """Cut every connection and answer no more."""
        assert self.listener is not None
        ends, self.through = [self.listener, *self.through], []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        os.unlink(self.path)  # noqa: PTH108 - a socket


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    if os.environ.get("DOCKER_HOST") or not os.path.exists("/var/run/docker.sock"):  # noqa: PTH110 - a socket
        pytest.skip("the engine is not at /var/run/docker.sock")
    made = Door(str(tmp_path / "docker.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    with contextlib.suppress(OSError):
        made.slam()


SLOW = "import time\ndef add(a, b):\n    time.sleep(2)\n    return a + b\n"


SDK_LEAKS = pytest.mark.filterwarnings(
    # Docker's SDK forgets the socket whose connect failed.
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@SDK_LEAKS
@pytest.mark.docker
@pytest.mark.slow
def test_survives_a_restart_of_the_engine(door: Door) -> None:
    def restart(_: Sandbox) -> None:
        time.sleep(1.5)
        door.slam()
        time.sleep(4.0)
        door.unlock()

    found = findings(*[(ADD, SLOW)] * 3, meanwhile=restart)
    gc.collect()
    assert [finding.cause for finding in found] == ["passed"] * 3, found


@SDK_LEAKS
@pytest.mark.docker
@pytest.mark.slow
def test_calls_a_lost_engine_an_error_and_never_a_wrong_program(door: Door) -> None:
    async def judge() -> Verdict:
        async with Sandbox(LIMITS) as sandbox:
            verdict = asyncio.create_task(judge_code(sandbox, ADD, SLOW, bare=True))
            await asyncio.sleep(1.5)
            await asyncio.to_thread(door.slam)
            return await verdict

    verdict = asyncio.run(judge())
    gc.collect()
    assert verdict.outcome == "error"
    assert verdict.cause in ("docker_unavailable", "container_lost")
    assert verdict.trust == "none"


@pytest.mark.docker
def test_builds_the_harness_on_a_base_that_is_there() -> None:
    client = engine.connect()
    said: list[str] = []
    try:
        built = image.build(tag="tracegen-test", say=said.append)
        assert image.image_digest(built) == image.image_digest(image.tag_of("python"))
        assert said == ["tracegen-test: adding the harness", "tracegen-test: built"]
    finally:
        with contextlib.suppress(docker.errors.APIError):
            client.remove_image("tracegen-test")
        client.close()


def cpu_ticks(client: Any, run: str) -> dict[str, int]:
    """Clock ticks that the supervisor of each living container has used, user and system."""
    ticks = {}
    for found in client.containers(filters={"label": f"{engine.RUN}={run}"}):
        with contextlib.suppress(docker.errors.NotFound, OSError):  # one that ends just now
            pid = client.inspect_container(found["Id"])["State"]["Pid"]
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks[found["Id"]] = int(fields[11]) + int(fields[12])
    return ticks


@pytest.mark.docker
def test_uses_no_processor_while_it_waits() -> None:
    used: list[int] = []

    async def idle() -> None:
        async with Sandbox(LIMITS) as sandbox:
            program = Program(source="def add(a, b):\n    return a + b\n")
            await asyncio.gather(*(sandbox.judge(ADD, program) for _ in range(4)))
            await asyncio.sleep(1)  # for the containers that were used to be gone
            client = engine.connect()
            before = cpu_ticks(client, sandbox.pool.run)
            await asyncio.sleep(2)
            after = cpu_ticks(client, sandbox.pool.run)
            used.extend(after[one] - before[one] for one in before.keys() & after.keys())
            client.close()

    asyncio.run(idle())
    assert used
    assert max(used) < 40, "a supervisor that spins uses 200 ticks"
