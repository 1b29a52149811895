"""Cores and memory: the machine's, cut to what a container grants."""

from math import inf
from types import SimpleNamespace

import psutil
import pytest

from labcore import machine, runtime


@pytest.fixture
def group(tmp_path):
    """Writes a control group's files; returns its folder."""

    def write(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, inf),
        ({"cpu.max": "200000 0\n"}, inf),
        ({"cpu.max": ""}, inf),
        ({}, inf),
    ],
)
def test_the_cpu_quota_of_a_container(group, files, quota):
    assert machine.cpu_quota(group(files)) == quota


@pytest.mark.parametrize(
    ("cores", "quota", "count"), [(8, inf, 8), (8, 1.5, 2), (8, 0.2, 1), (2, 4.0, 2)]
)
def test_threads_follow_the_smaller_of_cores_and_quota(
    monkeypatch, cores, quota, count
):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores), raising=False)
    monkeypatch.setattr(machine, "cpu_quota", lambda group: quota)
    assert runtime.cpu_count() == count


def test_without_affinity_all_cores_count(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert runtime.cpu_count() == 1


GROUP = {"memory.max": "1000\n", "memory.current": "700\n"}
OLD_GROUP = {
    "memory/memory.limit_in_bytes": "9000\n",
    "memory/memory.usage_in_bytes": "4000\n",
    "memory/memory.stat": "inactive_file 7\ntotal_inactive_file 1000\n",
}


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, inf),
        (GROUP, 300),
        (GROUP | {"memory.max": "max\n"}, inf),
        (GROUP | {"memory.max": "600\n"}, 0),
        (GROUP | {"memory.stat": "anon 1\ninactive_file 200\n"}, 500),
        (OLD_GROUP, 6000),
    ],
)
def test_the_memory_that_a_container_leaves(group, files, left):
    assert machine.memory_left(group(files)) == left


@pytest.mark.parametrize(("available", "least"), [(200, 200), (8000, 300)])
def test_memory_that_is_free_is_the_machines_or_the_containers(
    monkeypatch, group, available, least
):
    found = SimpleNamespace(available=available)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found)
    monkeypatch.setattr(machine, "CGROUP", group(GROUP))
    assert machine.free_memory() == least
