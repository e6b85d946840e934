"""A real Slurm of one node, all on the loopback: munged, slurmctld and slurmd with files in one folder.

It needs no privileges but those of who starts it, no cgroup, no database and nothing of /etc/slurm. Whoever starts it
without being root gets a cluster that runs jobs of that user alone.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
START_SECONDS = 60
# Where distributions put the daemons, which is not in every user's PATH.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

# Two partitions on the node: jobs of `urgent` preempt those of `main`, which are queued again.
CONFIG = """
ClusterName=probe4d
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL State=UP PriorityTier=10
"""


class NoSlurm(Exception):
    """Why there is no Slurm here."""


class Slurm:
    """A cluster that runs.

    Attributes:
        environment: variables under which `sbatch` and the others find it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)

    def tell(self, *command: str) -> str:
        """Run a command of Slurm's and return what it prints."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """Return the ids of the jobs in these states, or of all that are not over; an array's one by one."""
        line = ["squeue", "--noheader", "--array", "--format=%i"]
        return self.tell(*line, *([f"--states={','.join(states)}"] if states else [])).split()

    def job(self, name: str) -> dict[str, str]:
        """Return what `scontrol show job` says of a job."""
        words = self.tell("scontrol", "--oneliner", "show", "job", name).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def hurry(self, name: str) -> None:
        """Wait until a job is queued again, and let it start soon: by itself Slurm waits two minutes.

        Not in the same second: a node knows by the second which starts of a job were revoked, and would refuse this
        one too, which fails the job (`Job credential revoked`).
        """
        ends = time.monotonic() + START_SECONDS
        while (job := self.job(name))["JobState"] != "PENDING" or job["Restarts"] == "0":
            assert time.monotonic() < ends, job
            time.sleep(0.1)
        time.sleep(1.1)
        self.tell("scontrol", "update", f"JobId={name}", "StartTime=now")


@contextlib.contextmanager
def started(folder: Path, cpus: int = 4) -> Iterator[Slurm]:
    """Yield a cluster in a folder of a short path (a socket's address has 107 bytes at most).

    Args:
        cpus: how many processors the node says that it has.

    Raises:
        NoSlurm: a program is missing, or a daemon ended.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        raise NoSlurm(f"needs a Slurm: there is no {', '.join(missing)} here (Debian: slurm-wlm, munge)")
    configuration = _write(folder, cpus)
    slurm = Slurm({"SLURM_CONF": str(configuration), "PATH": PATH})
    daemons: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, line in _daemons(folder).items():
            daemons[name] = _daemon(name, line, folder, slurm.environment)
            if name == "munged":
                _await((folder / "munge.sock").exists, "munged to listen", folder, daemons)
        _await(lambda: "idle" in _states(slurm), "the node to be idle", folder, daemons)
        yield slurm
        _empty(slurm)
    finally:
        for process in reversed(daemons.values()):
            process.terminate()
        for process in reversed(daemons.values()):
            _end(process)


def _write(folder: Path, cpus: int) -> Path:
    """Write key and configuration; return the latter."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    configuration = folder / "slurm.conf"
    ports = dict(zip(("ctld_port", "slurmd_port"), _free_ports(2), strict=True))
    host = socket.gethostname().partition(".")[0]
    user = getpass.getuser()
    configuration.write_text(CONFIG.format(folder=folder, host=host, user=user, cpus=cpus, **ports))
    return configuration


def _daemons(folder: Path) -> dict[str, list[str]]:
    """Return the command lines, in the order in which they are started; all stay in the foreground."""
    munged = ["munged", "--foreground", "--force", "--num-threads=2"]
    munged += [f"--{name}={folder}/{file}" for name, file in (("key-file", "munge.key"), ("socket", "munge.sock"))]
    munged += [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    return {"munged": munged, "slurmctld": ["slurmctld", "-D", "-c"], "slurmd": ["slurmd", "-D"]}


def _daemon(name: str, line: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon that writes to a file of its own."""
    with (folder / f"{name}.out").open("wb") as output:
        return subprocess.Popen(
            line, env={**os.environ, **environment}, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a daemon that was told to end, and kill it if it does not."""
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(done: Callable[[], bool], what: str, folder: Path, daemons: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Wait for something to be so.

    Raises:
        NoSlurm: a daemon ended, or a minute is over; with the last lines that the daemons wrote.
    """
    ends = time.monotonic() + START_SECONDS
    while not done():
        dead = [f"{name} ended with code {one.returncode}" for name, one in daemons.items() if one.poll() is not None]
        if dead or time.monotonic() > ends:
            said = [_last(file) for file in sorted([*folder.glob("*.out"), *folder.glob("*.log")])]
            why = ", ".join(dead) or f"waited {START_SECONDS} s for {what}"
            raise NoSlurm(f"Slurm did not start here: {why}. {' | '.join(filter(None, said))}")
        time.sleep(0.1)


def _last(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines()
    return f"{file.name}: {lines[-1]}" if lines else ""


def _states(slurm: Slurm) -> str:
    try:
        return slurm.tell("sinfo", "--noheader", "--format=%t")
    except subprocess.SubprocessError:  # slurmctld does not listen yet
        return ""


def _empty(slurm: Slurm) -> None:
    """Cancel what is left, so that no job outlives the daemons."""
    if left := slurm.jobs():
        slurm.tell("scancel", "--signal=KILL", *left)
        slurm.tell("scancel", *left)
    ends = time.monotonic() + START_SECONDS
    while slurm.jobs() and time.monotonic() < ends:
        time.sleep(0.1)


def _free_ports(number: int) -> list[int]:
    """Return ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
